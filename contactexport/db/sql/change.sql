-- name: writers_now
-- Who is changing contacts at this moment: the lock of the log, or of a month that is written directly, is taken before a
-- change gets its time. The start of another role's transaction, and of a prepared one, is not to be seen.
SELECT l.virtualtransaction AS writer, a.xact_start AS started
FROM pg_locks AS l LEFT JOIN pg_stat_activity AS a ON a.pid = l.pid
WHERE l.locktype = 'relation' AND l.mode = 'RowExclusiveLock' AND l.granted
  AND l.relation IN (
      SELECT 'contact_change'::regclass
      UNION ALL SELECT inhrelid FROM pg_inherits WHERE inhparent = 'contact_change'::regclass
  )
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND l.pid IS DISTINCT FROM pg_backend_pid();

-- name: window_end$
SELECT contact_change_window_end(:wanted);

-- name: clock$
SELECT clock_timestamp();

-- name: prepare_months$
-- By one at a time: two would wait for each other.
SELECT CASE WHEN pg_is_in_recovery() OR NOT pg_try_advisory_xact_lock(hashtext('contactexport months'), 0) THEN 0
       ELSE contact_change_months(now()::date, (now() + interval '12 months')::date) END;

-- name: hold_tables!
-- Before the first query, which takes the snapshot: to a snapshot older than their rewriting tables are empty. Months of
-- the log are held by the queries that read them.
LOCK TABLE contact, ONLY contact_change, contact_field, contact_field_choice IN ACCESS SHARE MODE;

-- name: log_partitions
-- Months of the change log that end at or before a date, and how many changes the rest of the log has before it.
SELECT c.relname AS name
FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
WHERE i.inhparent = 'contact_change'::regclass AND c.relname ~ '^contact_change_[0-9]{4}_[0-9]{2}$'
  AND (to_date(right(c.relname, 7), 'YYYY_MM') + interval '1 month') AT TIME ZONE 'UTC' <= :before
ORDER BY c.relname;

-- name: drop_partition!
-- A template: {partition} is a name from log_partitions.
DROP TABLE {partition};

-- name: delete_unpartitioned!
DELETE FROM contact_change_other WHERE changed_at < :before;
