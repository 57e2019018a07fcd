-- A session's settings; and the embedded server's database, made when there is none.

-- name: ping$
SELECT 1;

-- name: wait_for_other_makers()
-- One at a time: CREATE DATABASE cannot be told to do nothing when the name is taken.
SELECT pg_advisory_lock(1);

-- name: database_exists(name)$
SELECT EXISTS (SELECT FROM pg_database WHERE datname = :name);

-- name: create_database()!
CREATE DATABASE {name} ENCODING 'UTF8' TEMPLATE template0;

-- name: limit_statements$
-- For this transaction.
SELECT set_config('statement_timeout', :milliseconds, true);

-- name: lift_time_limit!
-- First and by itself: a role's limit must not end the very statement that pins all settings.
SET statement_timeout = 0;

-- name: pin_settings!
-- What a role or a database sets changes no file and ends no session: every setting of versions 13 to 18 that could is
-- named here (see docs/decisions/connections.md). A setting that this server does not know is NULL and left out. So is
-- one that is right already, since a role may be forbidden to set it. Before that the path of the role is left, on which
-- others may have put what fits our types better.
SELECT pg_catalog.set_config('search_path', 'pg_catalog', false);
SELECT set_config(name, value, false)
FROM (VALUES
    -- Where names are looked for after Postgres' own. Temporary tables come last.
    ('search_path', quote_ident(:schema) || ', pg_temp'),
    -- How values are written, and read by the casts of a view.
    ('DateStyle', 'ISO, YMD'),
    ('IntervalStyle', 'iso_8601'),
    ('TimeZone', 'UTC'),  -- while contacts are read, the zone of the service
    ('timezone_abbreviations', 'Default'),
    ('extra_float_digits', '1'),
    ('bytea_output', 'hex'),
    ('xmlbinary', 'base64'),
    ('xmloption', 'content'),
    ('lc_monetary', 'C'),
    ('lc_numeric', 'C'),
    ('lc_time', 'C'),
    ('array_nulls', 'on'),
    ('standard_conforming_strings', 'on'),
    ('backslash_quote', 'safe_encoding'),
    ('quote_all_identifiers', 'off'),
    ('transform_null_equals', 'off'),
    ('default_text_search_config', 'pg_catalog.simple'),
    -- Which rows are seen, and which changes logged.
    ('row_security', 'off'),  -- Postgres refuses a query instead of hiding rows
    ('gin_fuzzy_search_limit', '0'),
    ('zero_damaged_pages', 'off'),
    ('ignore_checksum_failure', 'off'),
    ('session_replication_role', 'origin'),
    ('default_transaction_isolation', 'read committed'),
    -- What is forbidden or ended. The limits of a role are for short work and would cut long exports.
    ('restrict_nonsystem_relation_kind', ''),
    ('statement_timeout', '0'),
    ('lock_timeout', '0'),
    ('transaction_timeout', '0'),
    ('idle_in_transaction_session_timeout', '0'),
    ('idle_session_timeout', '0'),
    ('exit_on_error', 'off'),
    -- A query whose client has died ends within ten seconds, and with it the session and its locks; a dead peer is noticed
    -- within half a minute.
    ('client_connection_check_interval', '10s'),
    ('tcp_keepalives_idle', '10'),
    ('tcp_keepalives_interval', '5'),
    ('tcp_keepalives_count', '3'),
    ('tcp_user_timeout', '0'),
    ('client_min_messages', 'warning')
) AS pinned (name, value)
WHERE current_setting(name, true) <> value;
