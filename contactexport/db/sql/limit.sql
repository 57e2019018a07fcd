-- name: count_request^
-- One more in this minute, by the clock that all processes share.
INSERT INTO request_count AS c (user_name, minute, requests)
VALUES (:user_name, date_trunc('minute', clock_timestamp()), 1)
ON CONFLICT (user_name, minute) DO UPDATE SET requests = c.requests + 1
RETURNING requests, ceil(60 - extract(second FROM clock_timestamp()))::integer AS seconds_left;

-- name: forget_requests!
DELETE FROM request_count WHERE minute < clock_timestamp() - interval '2 minutes';

-- name: lock_user$
-- Until the transaction ends: requests of one user are counted one after the other. Named apart from setting keys,
-- which are single 64-bit numbers.
SELECT pg_advisory_xact_lock(hashtext('contactexport user'), hashtext(:user_name));

-- name: count_unfinished$
SELECT count(*) FROM export WHERE created_by = :created_by AND status IN ('scheduled', 'in progress', 'ready');
