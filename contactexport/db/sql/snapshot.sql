-- name: share^
-- The time of its start tells a server from every other one: behind one address there may be several.
SELECT pg_export_snapshot() AS id, pg_postmaster_start_time() AS server_start;

-- name: join!
-- Must be the first statement of a transaction.
SET TRANSACTION SNAPSHOT :id;

-- name: server_start$
SELECT pg_postmaster_start_time();

-- name: hold_tables_at_once!
-- Behind somebody who waits to rewrite a table, the sessions would wait for each other for ever.
LOCK TABLE contact, ONLY contact_change, contact_field, contact_field_choice IN ACCESS SHARE MODE NOWAIT;
