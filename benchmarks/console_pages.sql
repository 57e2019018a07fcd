-- Exports and feeds for the pages of the console. aiosql binds the parameters.

-- name: add_exports!
-- Spread over the last 31 days, of 12 users and 4 teams. One in 37 ended in error, one in five went by FTP.
INSERT INTO export (
    settings, setting_key, file_name, created_by, team, created_at, status, attempt, run_attempts, claimed_at, started_at,
    ready_at, finished_at, rows, rows_expected, bytes, sha256, effective_until, deliveries, error, due_at
)
SELECT jsonb_build_object(
           'distribution_method', CASE WHEN mod(n, 5) = 0 THEN 'ftp' ELSE 'local' END, 'origin', 'form',
           'origin_ids', jsonb_build_array(mod(n, 50)), 'start', '2026-10-01T00:00:00+00:00',
           'end', '2026-11-01T00:00:00+00:00', 'contact_fields', jsonb_build_array(1, 2, 3), 'delimiter', ',',
           'header', true, 'language', 'en', 'spreadsheet', false, 'notification_url', NULL,
           'ftp', CASE WHEN mod(n, 5) = 0 THEN jsonb_build_object(
               'host', 'ftp' || mod(n, 9) || '.example.com', 'port', 21, 'username', 'user', 'folder', 'in', 'tls', true
           ) END
       ),
       n, 'changes_' || n || '_en-abcdef.csv', 'user' || mod(n, 12), 'team' || mod(n, 4), asked,
       CASE WHEN mod(n, 37) = 0 THEN 'error' ELSE 'done' END, 1, 1, asked, asked + interval '5 seconds',
       CASE WHEN mod(n, 37) > 0 THEN asked + make_interval(secs => 10 + mod(n, 60)) END,
       asked + make_interval(secs => 80 + mod(n, 300)), mod(n, 1000000), mod(n, 1000000), mod(n, 1000000) * 60, repeat('ab', 32), asked,
       CASE WHEN mod(n, 5) = 0 THEN jsonb_build_array(
           jsonb_build_object('attempt', 1, 'at', asked, 'reply', '226 Transfer complete')
       ) ELSE '[]' END,
       CASE WHEN mod(n, 37) = 0 THEN '550 No such folder' END, NULL
FROM (
    SELECT n, clock_timestamp() - interval '31 days' * (1 - n / CAST(:exports AS float8)) - interval '10 minutes' AS asked
    FROM generate_series(1, :exports) AS n
) AS numbered;

-- name: add_events!
INSERT INTO export_event (export_id, attempt, event)
SELECT id, 1, event FROM export CROSS JOIN unnest(ARRAY['claimed', 'file ready', 'done']) AS event;

-- name: add_feeds!
-- Without a schedule, so that none starts.
INSERT INTO feed (name, team, created_by, settings)
SELECT 'feed' || n, 'team' || mod(n, 4), 'user1', (SELECT settings - 'start' - 'end' FROM export WHERE id = (SELECT max(id) FROM export))
FROM generate_series(1, :feeds) AS n;

-- name: make_runs!
-- Of one in five exports the runs of feeds: each begins where the one before it ended.
UPDATE export AS e
SET feed_id = r.feed_id, feed_name = f.name, team = f.team, feed_sequence = r.sequence,
    settings = e.settings || jsonb_build_object('start', coalesce(r.before, e.created_at - interval '1 day'))
FROM (
    SELECT id, 1 + mod(id / 5, :feeds) AS feed_id,
           row_number() OVER runs AS sequence, lag(effective_until) OVER runs AS before
    FROM export WHERE mod(id, 5) = 1
    WINDOW runs AS (PARTITION BY mod(id / 5, :feeds) ORDER BY id)
) AS r JOIN feed AS f ON f.id = r.feed_id
WHERE e.id = r.id;

-- name: vacuum#
VACUUM ANALYZE;
