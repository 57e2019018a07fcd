-- What is known of an export before it is asked for. Each query looks at so many of the newest exports at most, so its
-- time does not grow with the table.

-- name: limit_time$
-- Until the transaction ends.
SELECT set_config('statement_timeout', :milliseconds, true);

-- name: unfinished_of_setting$
SELECT id FROM export
WHERE setting_key = :setting_key AND team = :team AND status IN ('scheduled', 'in progress', 'ready');

-- name: unfinished_of_user$
-- As export_accept_request counts.
SELECT count(*) FROM export WHERE created_by = :created_by AND finished_at IS NULL AND feed_id IS NULL;

-- name: past_exports^
-- Rows, bytes and seconds of the newest exports with the same fields and method that needed one attempt. `team` may be
-- NULL: those of all teams.
SELECT count(*) AS exports, max(rows) AS most_rows, sum(rows) AS rows, sum(bytes) AS bytes, sum(seconds) AS seconds
FROM (
    SELECT rows, bytes, CAST(extract(epoch FROM finished_at - started_at) AS double precision) AS seconds
    FROM (
        SELECT id, status, attempt, rows, bytes, started_at, finished_at, settings FROM export
        WHERE CAST(:team AS text) IS NULL OR team = :team
        ORDER BY id DESC LIMIT :looked_at
    ) AS newest
    WHERE status = 'done' AND attempt = 1 AND rows > 0
      AND settings->'contact_fields' = CAST(:contact_fields AS jsonb) AND settings->>'distribution_method' = :method
    ORDER BY id DESC LIMIT :most
) AS same;

-- name: last_of_setting$
-- Where the newest finished export of the same setting ended, whatever its window was.
SELECT effective_until FROM (
    SELECT id, status, effective_until, settings FROM export WHERE team = :team ORDER BY id DESC LIMIT :looked_at
) AS newest
WHERE status = 'done' AND effective_until IS NOT NULL
  AND settings - CAST(:of_the_window AS text[]) = CAST(:settings AS jsonb) - CAST(:of_the_window AS text[])
ORDER BY id DESC LIMIT 1;
