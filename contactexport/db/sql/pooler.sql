-- name: server_process$
-- No time limit of the role may end it; it is lifted for this transaction only, since the process may be another's next.
SET LOCAL statement_timeout = 0;
SELECT pg_catalog.pg_backend_pid() AS process;
