-- name: count_requests^
-- So many more in this minute, by the clock that all processes share. What is refused does not add up.
INSERT INTO request_count AS c (user_name, minute, requests)
VALUES (:user_name, date_trunc('minute', clock_timestamp()), :wanted)
ON CONFLICT (user_name, minute) DO UPDATE SET requests = least(c.requests, :limit) + :wanted
RETURNING requests, extract(epoch FROM minute + interval '1 minute' - clock_timestamp())::float8 AS seconds_left;

-- name: forget_requests!
DELETE FROM request_count WHERE minute < clock_timestamp() - interval '2 minutes';
