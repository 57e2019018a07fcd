-- name: is_replica$
SELECT pg_is_in_recovery();

-- name: server_identity$
-- The same on a primary and on its replicas.
SELECT system_identifier FROM pg_control_system();

-- name: log_position$
SELECT pg_current_wal_insert_lsn()::text;

-- name: has_replayed$
SELECT pg_last_wal_replay_lsn() >= CAST(:position AS pg_lsn);
