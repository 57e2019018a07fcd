-- name: writers_now
-- Who is changing contacts at this moment: the lock of a log, or of a month that is written directly, is taken before a
-- change gets its time. The start of another role's transaction, and of a prepared one, is not to be seen.
SELECT l.virtualtransaction AS writer, a.xact_start AS started
FROM pg_locks AS l LEFT JOIN pg_stat_activity AS a ON a.pid = l.pid
WHERE l.locktype = 'relation' AND l.mode = 'RowExclusiveLock' AND l.granted
  AND l.relation IN (
      SELECT 'contact_change'::regclass
      UNION ALL SELECT 'contact_removal'::regclass
      UNION ALL SELECT inhrelid FROM pg_inherits WHERE inhparent = 'contact_change'::regclass
  )
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND l.pid IS DISTINCT FROM pg_backend_pid();

-- name: is_joined$
-- Whether contacts are made of several adopted tables.
SELECT EXISTS (SELECT FROM adopted WHERE joined);

-- name: first_unseen(writers, after, before)$
-- The first change in a time range of a transaction that one of the writers may not have seen. Each shows the oldest one of
-- these by a lock (db/sql/adopt_capture.sql). A transaction is not older than another one if its age is not higher.
WITH seen AS (
    SELECT max(age(l.objid::text::xid)) AS age FROM pg_locks AS l
    WHERE l.locktype = 'advisory' AND l.classid::bigint = hashtext('contactexport seen')::bigint & 4294967295
      AND l.objsubid = 2 AND l.virtualtransaction = ANY (:writers)
      AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
)
SELECT least(
    (SELECT min(c.changed_at) FROM contact_change AS c
     WHERE c.changed_at >= :after AND c.changed_at < :before AND age(c.xmin) <= (SELECT s.age FROM seen AS s)),
    (SELECT min(r.changed_at) FROM contact_removal AS r
     WHERE r.changed_at >= :after AND r.changed_at < :before AND age(r.xmin) <= (SELECT s.age FROM seen AS s))
);

-- name: describe_writers
-- Whose transactions these are: a session's, or a prepared one's, which no session stands behind.
SELECT DISTINCT l.virtualtransaction AS writer, a.pid, coalesce(a.usename, p.owner) AS user_name,
       nullif(a.application_name, '') AS application, starts_with(a.state, 'idle in transaction') AS idle, p.gid, p.prepared
FROM pg_locks AS l
LEFT JOIN pg_stat_activity AS a ON a.pid = l.pid
LEFT JOIN pg_prepared_xacts AS p ON l.pid IS NULL AND p.transaction = l.transactionid
WHERE l.virtualtransaction = ANY (:writers) AND (a.pid IS NOT NULL OR p.gid IS NOT NULL);

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

-- name: log_months
-- Months of the log that had ended at a date.
SELECT name, ends FROM (
    SELECT c.relname AS name, (to_date(right(c.relname, 7), 'YYYY_MM') + interval '1 month') AT TIME ZONE 'UTC' AS ends
    FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
    WHERE i.inhparent = 'contact_change'::regclass AND c.relname ~ '^contact_change_[0-9]{4}_[0-9]{2}$'
) AS months
WHERE ends <= :before
ORDER BY name;

-- name: changes_before
-- By the part of the log in which they lie.
SELECT c.relname AS name, count(*) AS changes
FROM contact_change AS l JOIN pg_class AS c ON c.oid = l.tableoid
WHERE l.changed_at < :before
GROUP BY c.relname;

-- name: lock_month!
-- A template: {month} is a name from log_months. Nothing comes into it between the look whether it is empty and its end.
LOCK TABLE ONLY contact_change, {month} IN ACCESS EXCLUSIVE MODE;

-- name: has_changes!
-- A template, as above.
SELECT EXISTS (SELECT FROM {month}) AS found;

-- name: drop_month!
-- A template, as above.
DROP TABLE {month};

-- name: delete_unpartitioned!
DELETE FROM contact_change_other WHERE changed_at < :before;

-- name: count_removals_before$
SELECT coalesce(sum(cardinality(contact_ids)), 0)::bigint FROM contact_removal WHERE changed_at < :before;

-- name: delete_removals!
DELETE FROM contact_removal WHERE changed_at < :before;

-- name: raise_removals_horizon!
UPDATE contact_log_horizon SET removals_from = greatest(removals_from, :removals_from);

-- name: raise_horizon!
UPDATE contact_log_horizon SET complete_from = greatest(complete_from, :complete_from);
