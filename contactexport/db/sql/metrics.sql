-- What /metrics tells of the whole service. Nothing here reads finished exports, of which there may be millions.

-- name: bounds^
SELECT seconds, rows, bytes FROM export_bounds();

-- name: export_totals
SELECT origin, method, status, sum(ended)::bigint AS ended, sum(present)::bigint AS present, sum(seconds) AS seconds,
       sum(rows)::bigint AS rows, sum(bytes)::bigint AS bytes, array_agg(seconds_buckets) AS seconds_buckets,
       array_agg(rows_buckets) AS rows_buckets, array_agg(bytes_buckets) AS bytes_buckets
FROM export_total GROUP BY origin, method, status ORDER BY origin, method, status;

-- name: attempt_totals
SELECT kind, method, result, sum(attempts)::bigint AS attempts
FROM export_attempt_total GROUP BY kind, method, result ORDER BY kind, method, result;

-- name: unfinished
-- By status: how many there are, how many are worked on, and for how many seconds the oldest has been due that nobody
-- works on.
WITH held AS MATERIALIZED (
    SELECT DISTINCT (l.classid::bigint << 32) | l.objid::bigint AS key
    FROM pg_locks AS l
    WHERE l.locktype = 'advisory' AND l.objsubid = 1 AND l.granted
      AND l.database = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())
)
SELECT e.status, count(*) AS present, count(h.key) AS running,
       max(extract(epoch FROM clock_timestamp() - e.due_at)) FILTER (WHERE h.key IS NULL)::double precision AS overdue
FROM export AS e LEFT JOIN held AS h ON h.key = e.setting_key
WHERE e.finished_at IS NULL GROUP BY e.status;

-- name: notifications_due^
-- How many wait, and for how many seconds the oldest of them has been due.
SELECT count(*) AS waiting,
       max(extract(epoch FROM clock_timestamp() - notify_due_at))::double precision AS overdue
FROM export WHERE notify_due_at IS NOT NULL;

-- name: feed_states^
SELECT count(*) FILTER (WHERE paused_at IS NULL) AS active,
       count(*) FILTER (WHERE pause_kind = 'asked') AS paused,
       count(*) FILTER (WHERE pause_kind <> 'asked') AS paused_itself
FROM feed;

-- name: feeds
-- The lag is how old the end of the last delivered window is. A feed that has delivered nothing is as old as it is. `late`
-- is for how many seconds a run has been owed that is late.
SELECT name, team, extract(epoch FROM clock_timestamp() - coalesce(cursor, created_at))::double precision AS lag,
       CASE WHEN paused_at IS NULL THEN greatest(extract(epoch FROM clock_timestamp() - late_at), 0) END::double precision
           AS late
FROM feed ORDER BY lag DESC, id LIMIT :most;

-- name: log_size^
-- Rows and bytes of the logs of changes and removals, as Postgres has estimated them at its last VACUUM or ANALYZE. The
-- true sizes would need a lock on each month.
WITH part AS (
    SELECT i.inhrelid AS oid FROM pg_inherits AS i WHERE i.inhparent = 'contact_change'::regclass
    UNION ALL SELECT 'contact_removal'::regclass
), relation AS (
    SELECT c.relpages, greatest(c.reltuples, 0) AS rows FROM part AS p JOIN pg_class AS c ON c.oid = p.oid
    UNION ALL
    SELECT c.relpages, 0 FROM part AS p JOIN pg_index AS x ON x.indrelid = p.oid JOIN pg_class AS c ON c.oid = x.indexrelid
    UNION ALL
    SELECT t.relpages, 0 FROM part AS p JOIN pg_class AS c ON c.oid = p.oid JOIN pg_class AS t ON t.oid = c.reltoastrelid
)
SELECT coalesce(sum(rows), 0)::bigint AS rows,
       coalesce(sum(relpages::bigint), 0)::bigint * current_setting('block_size')::bigint AS bytes
FROM relation;
