-- A table of exports with years of finished ones, as users, feeds and workers leave it.

-- name: drop_indexes
-- Those that hold up filling. Returns what creates them again.
SELECT 'DROP INDEX ' || i.indexrelid::regclass AS drop, pg_get_indexdef(i.indexrelid) AS create
FROM pg_index AS i WHERE i.indrelid = 'export'::regclass AND NOT i.indisprimary;

-- name: add_users!
-- Of 20 teams.
INSERT INTO api_user (name, token_hash, team)
SELECT 'user ' || n, sha256(convert_to(n::text, 'UTF8')), 'team ' || mod(n, 20) FROM generate_series(0, :users - 1) AS n;

-- name: add_feeds!
-- One in ten is pulled.
INSERT INTO feed (name, team, created_by, settings, cursor, sequence, schedule, due_at, next_late_at, late_at, pulled_at, acknowledged)
SELECT 'feed ' || n, 'team ' || mod(n, 20), 'user ' || n, jsonb '{"distribution_method": "local", "notification_url": null}', now(),
       :finished / (5 * :feeds), '0 * * * *', now() + interval '1 hour', now() + interval '2 hours', now() + interval '2 hours',
       CASE WHEN mod(n, 10) = 0 THEN now() END, :finished / (5 * :feeds)
FROM generate_series(0, :feeds - 1) AS n;

-- name: add_exports!
-- Numbers (above, last], of which the first `finished` have ended, in 50 days. Every fifth is a feed's, half go to 200 FTP
-- hosts, one in 33 has failed. Files are there for 30 days. Of the others, half wait for a worker and half for a delivery.
WITH numbered AS (
    SELECT n, mod(n, :users) AS user_number, mod(n, 2) = 1 AS ftp, mod(n, 33) = 0 AS failed, n <= :finished AS finished, mod(n, 5) = 0 AS of_feed,
           least(now() - (:finished - n) * (interval '50 days' / :finished), now()) AS asked
    FROM generate_series(CAST(:above AS bigint) + 1, :last) AS n
)
INSERT INTO export (
    id, settings, setting_key, status, attempt, run_attempts, delivery_attempts, deliveries, due_at, published_at,
    rows, rows_expected, bytes, sha256, file_name, file_deleted_at, error, effective_until, created_by, team, created_at,
    started_at, claimed_at, ready_at, finished_at, notified_at, feed_id, feed_name, feed_sequence, columns, manifest
) OVERRIDING SYSTEM VALUE
SELECT
    n,
    jsonb_build_object(
        'distribution_method', CASE WHEN ftp THEN 'ftp' ELSE 'local' END, 'origin', 'form', 'origin_ids', jsonb_build_array(mod(n, 500)),
        'start', asked - mod(n, 24) * interval '1 hour', 'end', asked, 'contact_fields', jsonb '[1, 2, 3, 10, 11]', 'delimiter', ',',
        'header', true, 'language', 'en', 'notification_url', null, 'spreadsheet', false,
        'ftp', CASE WHEN ftp THEN jsonb_build_object(
            'host', 'ftp' || mod(n, 200) || '.example.com', 'port', 21, 'username', 'exports', 'folder', '/in', 'tls', true
        ) END
    ),
    hashint8extended(n, 0),
    CASE WHEN NOT finished THEN CASE WHEN ftp THEN 'ready' ELSE 'scheduled' END WHEN failed THEN 'error' ELSE 'done' END,
    CASE WHEN finished OR ftp THEN 1 ELSE 0 END, CASE WHEN finished OR ftp THEN 1 ELSE 0 END, CASE WHEN finished AND ftp THEN 1 ELSE 0 END,
    CASE WHEN finished AND ftp
         THEN jsonb_build_array(jsonb_build_object('attempt', 1, 'at', asked, 'reply', '226 Transfer complete')) ELSE '[]' END,
    CASE WHEN NOT finished THEN asked END, asked,
    mod(n, 10000), mod(n, 10000), mod(n, 10000) * 100, encode(sha256(convert_to(n::text, 'UTF8')), 'hex'), 'changes_' || n || '_en-abcdef.csv',
    CASE WHEN finished AND (ftp AND NOT failed OR asked < now() - interval '30 days') THEN asked + interval '30 days' END,
    CASE WHEN finished AND failed THEN 'The FTP host replied: 530 Login incorrect' END, asked, 'user ' || user_number, 'team ' || mod(user_number, 20), asked,
    CASE WHEN finished OR ftp THEN asked + interval '1 second' END, CASE WHEN finished OR ftp THEN asked + interval '1 second' END,
    CASE WHEN finished OR ftp THEN asked + interval '2 seconds' END, CASE WHEN finished THEN asked + interval '5 seconds' END, NULL,
    CASE WHEN of_feed AND finished THEN mod(n / 5, :feeds) + 1 END, CASE WHEN of_feed AND finished THEN 'feed ' || mod(n / 5, :feeds) END,
    CASE WHEN of_feed AND finished THEN n / (5 * :feeds) + 1 END, jsonb '[[1, "First Name"], [2, "Last Name"], [3, "E-Mail"]]',
    CASE WHEN of_feed AND finished THEN rpad('{"bytes":100}', 900, md5(n::text)) END
FROM numbered ORDER BY n;

-- name: forget_due!
DELETE FROM export WHERE id > :finished;

-- name: add_marks!
INSERT INTO export_row_mark (export_id, marks)
SELECT id, sha256(convert_to(id::text, 'UTF8')) FROM export WHERE finished_at IS NOT NULL AND file_deleted_at IS NULL;

-- name: add_notifications!
-- Of so many of the newest exports that have ended.
UPDATE export SET notify_due_at = now() WHERE id > :finished - :due AND id <= :finished;

-- name: go_on_counting$
SELECT setval(pg_get_serial_sequence('export', 'id'), (SELECT max(id) FROM export));

-- name: tidy#
VACUUM ANALYZE export, export_row_mark, feed, api_user;

-- name: sizes^
SELECT pg_relation_size('export') + coalesce(pg_table_size(c.reltoastrelid), 0) AS rows, pg_indexes_size('export') AS indexes,
       (SELECT count(*) FROM export) AS exports
FROM pg_class AS c WHERE c.oid = 'export'::regclass;

-- name: leave_to_hand_vacuum#
ALTER TABLE export SET (autovacuum_enabled = off);

-- name: leave_to_autovacuum#
ALTER TABLE export RESET (autovacuum_enabled);

-- name: ask_again!
-- The states of exports (above, last], one after the other, as if they were new.
UPDATE export SET status = 'scheduled', due_at = now(), finished_at = NULL, notify_due_at = NULL WHERE id > :above AND id <= :last AND feed_id IS NULL;

-- name: begin_again!
UPDATE export SET status = 'in progress', claimed_at = now() WHERE id > :above AND id <= :last AND feed_id IS NULL;

-- name: be_ready_again!
UPDATE export SET status = 'ready', due_at = now(), ready_at = now() WHERE id > :above AND id <= :last AND feed_id IS NULL;

-- name: end_again!
UPDATE export SET status = 'done', due_at = NULL, finished_at = now() WHERE id > :above AND id <= :last AND feed_id IS NULL;

-- name: vacuum#
VACUUM (ANALYZE) export;

-- name: delete_old!
-- Exports of nobody's feed whose files are gone.
DELETE FROM export WHERE id > :above AND id <= :last AND feed_id IS NULL AND finished_at IS NOT NULL AND file_deleted_at IS NOT NULL;
