-- The embedded server: making its database when there is none.

-- name: ping$
SELECT 1;

-- name: wait_for_other_makers()
-- One at a time: CREATE DATABASE cannot be told to do nothing when the name is taken.
SELECT pg_advisory_lock(1);

-- name: database_exists(name)$
SELECT EXISTS (SELECT FROM pg_database WHERE datname = :name);

-- name: create_database()!
CREATE DATABASE {name} ENCODING 'UTF8' TEMPLATE template0;

-- name: no_time_limits$
-- Limits that a role or database sets for short work would cut long exports.
SELECT set_config('statement_timeout', '0', false), set_config('idle_in_transaction_session_timeout', '0', false);

-- name: no_transaction_time_limit$
SELECT set_config('transaction_timeout', '0', false);

-- name: check_client$
-- A query whose client has died ends within ten seconds, and with it the session and its locks; a session that only
-- holds a lock stays.
SELECT set_config('client_connection_check_interval', '10s', false), set_config('idle_session_timeout', '0', false);
