-- name: try_session_lock$
SELECT pg_try_advisory_lock(:key);

-- name: unlock_session$
SELECT pg_advisory_unlock(:key);

-- name: holds_session_lock$
SELECT EXISTS (
    SELECT FROM pg_locks
    WHERE locktype = 'advisory' AND objsubid = 1 AND granted AND pid = pg_backend_pid()
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND (classid::bigint << 32) | objid::bigint = :key
);

-- name: end_holder
-- Ends the session that holds the lock: its process may hang and never let go by itself. Another role's is left alone
-- unless this one may end it.
SELECT pg_terminate_backend(l.pid) AS ended FROM pg_locks AS l JOIN pg_stat_activity AS a ON a.pid = l.pid
WHERE l.locktype = 'advisory' AND l.objsubid = 1 AND l.granted AND l.pid <> pg_backend_pid()
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND (l.classid::bigint << 32) | l.objid::bigint = :key
  AND pg_has_role(a.usesysid, 'USAGE');

-- name: limit_lock_wait$
-- Until the transaction ends.
SELECT set_config('lock_timeout', :milliseconds, true);

-- name: take_transaction_lock$
SELECT pg_advisory_xact_lock(:key);

-- name: take_turn_of_user$
-- The lock that export_accept_request takes before it counts a user's unfinished exports.
SELECT pg_advisory_xact_lock(hashtext('contactexport user'), hashtext(:created_by));
