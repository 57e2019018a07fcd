-- What the page System of the console shows of the database.

-- name: queue^
-- Unfinished exports by what they wait for, those of them that are due, and since when the oldest one is.
SELECT count(*) FILTER (WHERE status = 'scheduled') AS scheduled,
       count(*) FILTER (WHERE status = 'in progress') AS in_progress,
       count(*) FILTER (WHERE status = 'ready') AS to_deliver,
       count(*) FILTER (WHERE due_at <= clock_timestamp() AND status <> 'in progress') AS due,
       min(due_at) FILTER (WHERE due_at <= clock_timestamp() AND status <> 'in progress') AS oldest_due
FROM export WHERE finished_at IS NULL;

-- name: held_exports
-- Sessions that hold the lock of an export: each belongs to a process of a worker that runs or delivers it.
SELECT a.pid, a.client_addr::text AS address, e.id AS export, e.status, e.attempt, e.claimed_at
FROM pg_locks AS l
JOIN pg_stat_activity AS a ON a.pid = l.pid
JOIN export AS e ON e.setting_key = (l.classid::bigint << 32) | l.objid::bigint AND e.finished_at IS NULL
WHERE l.locktype = 'advisory' AND l.objsubid = 1 AND l.granted
  AND l.database = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())
ORDER BY e.claimed_at LIMIT 200;

-- name: versions
-- Of the schema, those that this database has run.
SELECT version, recorded_at FROM contactexport_checksum ORDER BY version;
