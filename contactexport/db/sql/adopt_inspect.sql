-- What a table of contacts is made of, and whether it can be adopted. Everything here reads only, but for a temporary view
-- in a transaction that is rolled back.

-- name: own_path$
-- The search path of the role, in which it knows its tables. The program's own sessions have another one.
SELECT reset_val FROM pg_settings WHERE name = 'search_path';

-- name: use_path!
-- For this transaction.
SELECT set_config('search_path', :path, true);

-- name: limit_locks!
-- For this transaction.
SELECT set_config('lock_timeout', :limit, true);

-- name: is_read_only$
SELECT current_setting('transaction_read_only')::boolean OR pg_is_in_recovery();

-- name: find_table$
-- NULL if there is none. A text that is no name is an error.
SELECT to_regclass(:name)::oid;

-- name: near_tables
SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname) AS name
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v') AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_'
ORDER BY 1;

-- name: table^
SELECT
    c.oid, n.nspname AS schema, c.relname AS name, c.relkind::text AS kind,
    quote_ident(n.nspname) || '.' || quote_ident(c.relname) AS qualified, quote_ident(c.relname) AS quoted_name,
    c.reltuples::bigint AS rows, c.relhassubclass AND c.relkind = 'r' AS has_children
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.oid = :oid;

-- name: columns
-- A domain counts as what it is based on.
SELECT
    a.attname AS name, quote_ident(a.attname) AS quoted, format_type(a.atttypid, a.atttypmod) AS type,
    format_type(b.oid, NULL) AS base_type, b.typcategory::text AS category, b.typtype::text AS type_kind,
    CASE WHEN b.typname IN ('varchar', 'bpchar') AND a.atttypmod > 4 THEN a.atttypmod - 4 END AS max_length,
    a.attnotnull AS required
FROM pg_attribute AS a
JOIN pg_type AS t ON t.oid = a.atttypid
JOIN pg_type AS b ON b.oid = CASE t.typtype WHEN 'd' THEN t.typbasetype ELSE t.oid END
WHERE a.attrelid = :oid AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum;

-- name: unique_columns
-- Those that tell rows apart by themselves, the primary key first.
SELECT a.attname AS name, i.indisprimary AS is_primary
FROM pg_index AS i JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
WHERE i.indrelid = :oid AND i.indisunique AND i.indisvalid AND i.indnkeyatts = 1 AND i.indpred IS NULL
ORDER BY i.indisprimary DESC, a.attnum;

-- name: type_of^
-- Of a value that a query gives, by its number.
SELECT
    format_type(t.oid, NULL) AS type, format_type(b.oid, NULL) AS base_type,
    b.typcategory::text AS category, b.typtype::text AS type_kind
FROM pg_type AS t JOIN pg_type AS b ON b.oid = CASE t.typtype WHEN 'd' THEN t.typbasetype ELSE t.oid END
WHERE t.oid = :oid;

-- name: probe
-- A template: the types of expressions, without any row.
SELECT {expressions} FROM {tables} WHERE {condition} LIMIT 0;

-- name: compare
-- A template: whether two columns can be compared, without any row.
SELECT 1 FROM {tables}, {table} WHERE {column} = {key} LIMIT 0;

-- name: whole_select
-- A template.
SELECT {outputs} FROM {tables} WHERE {condition};

-- name: rows_of
-- A template: an output that depends on a table.
(SELECT count(*) FROM {table}) AS {name};

-- name: values_of
-- A template: which values there are, if they are few.
SELECT DISTINCT {value}::text AS value FROM {tables} WHERE {condition} AND {value} IS NOT NULL LIMIT 300;

-- name: make_view
-- A template. Postgres reads the SELECT, but does not plan it.
DROP VIEW IF EXISTS pg_temp.contactexport_probe;
CREATE TEMPORARY VIEW contactexport_probe AS {select};

-- name: view_oid$
SELECT CAST('pg_temp.contactexport_probe'::regclass AS oid);

-- name: repeated_id^
-- The id of a contact that has several rows, or none.
SELECT id::text AS id, count(*) AS rows FROM pg_temp.contactexport_probe GROUP BY id HAVING count(*) > 1 OR id IS NULL LIMIT 1;

-- name: base_tables
-- What the rows of the view come from, whatever views are between. Others' views are read with their owners' rights, but
-- the functions that log changes read the tables themselves.
-- System tables are not among them, since Postgres notes nothing that depends on these.
WITH RECURSIVE read (oid, kind, name, through) AS (
    SELECT c.oid, c.relkind, NULL::text COLLATE "C", NULL::text COLLATE "C" FROM pg_class AS c
    WHERE c.oid = 'pg_temp.contactexport_probe'::regclass
    UNION
    SELECT c.oid, c.relkind, quote_ident(n.nspname) || '.' || quote_ident(c.relname), read.name
    FROM read
    JOIN pg_rewrite AS r ON r.ev_class = read.oid AND read.kind = 'v'
    JOIN pg_depend AS d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
        AND d.refclassid = 'pg_class'::regclass AND d.refobjid <> read.oid
    JOIN pg_class AS c ON c.oid = d.refobjid JOIN pg_namespace AS n ON n.oid = c.relnamespace
)
SELECT DISTINCT ON (c.oid)
    c.oid, read.name, c.relkind::text AS kind, c.relpersistence::text AS persistence, read.through,
    -- To read, to lock and to try changes, and to add triggers.
    ARRAY(
        SELECT r.name FROM unnest(ARRAY['SELECT', 'UPDATE', 'DELETE', 'TRIGGER']) AS r (name)
        WHERE NOT CASE r.name
            WHEN 'SELECT' THEN has_any_column_privilege(c.oid, r.name) ELSE has_table_privilege(c.oid, r.name)
        END
    ) AS lacking,
    row_security_active(c.oid) AS hides_rows
FROM read JOIN pg_class AS c ON c.oid = read.oid
WHERE c.relkind <> 'v'
ORDER BY c.oid;

-- name: role$
SELECT quote_ident(current_user);

-- name: blockers
-- Who holds a lock on these tables now.
SELECT l.relation::regclass::text AS name, l.pid, coalesce(nullif(a.application_name, ''), a.usename, 'another session') AS who
FROM pg_locks AS l LEFT JOIN pg_stat_activity AS a ON a.pid = l.pid
WHERE l.relation = ANY (CAST(:oids AS oid[])) AND l.granted AND l.pid <> pg_backend_pid()
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND l.mode NOT IN ('AccessShareLock', 'RowShareLock')
ORDER BY l.mode = 'AccessExclusiveLock' DESC, a.xact_start LIMIT 1;

-- name: has_adopted$
SELECT to_regclass('adopted') IS NOT NULL;

-- name: adopted_plan$
SELECT plan FROM adopted;

-- name: has_catalogue$
SELECT to_regclass('contact_field') IS NOT NULL;

-- name: taken_fields
SELECT id, name, application_type, column_name FROM contact_field;
