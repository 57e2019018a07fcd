-- Adopting tables of others: what they are, and what is made for them.

-- name: view_text(schema, name)$
SELECT pg_get_viewdef(c.oid) FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = :schema AND c.relname = :name;

-- name: is_view(schema, name)$
SELECT c.relkind = 'v' FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = :schema AND c.relname = :name;

-- name: make_probe!
-- A template.
CREATE VIEW {schema}.contactexport_probe AS {select};

-- name: base_columns(schema, name)
-- The tables that a view depends on, through nested views too, with the columns it names (all, if it names whole rows), all
-- columns there are, those of which equal values are written in the same way, and the primary key.
WITH RECURSIVE depends AS (
    SELECT d.refobjid, d.refobjsubid
    FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    JOIN pg_rewrite AS r ON r.ev_class = c.oid
    JOIN pg_depend AS d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
        AND d.refclassid = 'pg_class'::regclass AND d.refobjid <> c.oid
    WHERE n.nspname = :schema AND c.relname = :name
    UNION
    SELECT d.refobjid, d.refobjsubid
    FROM depends AS v
    JOIN pg_rewrite AS r ON r.ev_class = v.refobjid
    JOIN pg_depend AS d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
        AND d.refclassid = 'pg_class'::regclass AND d.refobjid <> v.refobjid
)
SELECT n.nspname AS schema_name, c.relname AS table_name, c.relkind::text AS kind,
    array_remove(array_agg(DISTINCT a.attname::text), NULL) AS columns,
    ARRAY(
        SELECT x.attname::text FROM pg_attribute AS x
        WHERE x.attrelid = c.oid AND x.attnum > 0 AND NOT x.attisdropped ORDER BY x.attnum
    ) AS all_columns,
    ARRAY(
        SELECT x.attname::text FROM pg_attribute AS x JOIN pg_type AS t ON t.oid = x.atttypid
        LEFT JOIN pg_collation AS o ON o.oid = x.attcollation
        WHERE x.attrelid = c.oid AND x.attnum > 0 AND NOT x.attisdropped AND coalesce(o.collisdeterministic, true) AND (
            t.typtype = 'e' OR x.atttypid IN (
                'smallint'::regtype, 'integer'::regtype, 'bigint'::regtype, 'boolean'::regtype, 'uuid'::regtype,
                'text'::regtype, 'varchar'::regtype, 'date'::regtype, 'timestamp'::regtype, 'timestamptz'::regtype
            )
        )
    ) AS plain_columns,
    ARRAY(
        SELECT x.attname::text FROM pg_index AS i JOIN pg_attribute AS x ON x.attrelid = i.indrelid AND x.attnum = ANY (i.indkey)
        WHERE i.indrelid = c.oid AND i.indisprimary ORDER BY x.attnum
    ) AS key_columns
FROM depends AS d JOIN pg_class AS c ON c.oid = d.refobjid JOIN pg_namespace AS n ON n.oid = c.relnamespace
LEFT JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = d.refobjsubid AND a.attnum > 0
WHERE c.relkind <> 'v'
GROUP BY n.nspname, c.oid, c.relname, c.relkind
ORDER BY n.nspname, c.relname;

-- name: column_types(schema, name)
SELECT a.attname::text AS name, format_type(a.atttypid, a.atttypmod) AS type
FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = :schema AND c.relname = :name AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum;

-- name: base_types(schema, name)
-- The same, of a domain the type below it.
WITH RECURSIVE types AS (
    SELECT a.attname::text AS name, a.attnum, t.oid, t.typtype, t.typbasetype
    FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace
    JOIN pg_type AS t ON t.oid = a.atttypid
    WHERE n.nspname = :schema AND c.relname = :name AND a.attnum > 0 AND NOT a.attisdropped
    UNION ALL
    SELECT d.name, d.attnum, t.oid, t.typtype, t.typbasetype
    FROM types AS d JOIN pg_type AS t ON t.oid = d.typbasetype WHERE d.typtype = 'd'
)
SELECT b.name, format_type(b.oid, NULL) AS type FROM types AS b WHERE b.typtype <> 'd' ORDER BY b.attnum;

-- name: not_for_one_row
-- The names of functions that do not give one value for each row: aggregates, window functions and such as give rows.
SELECT DISTINCT p.proname::text AS name FROM pg_proc AS p WHERE p.prokind IN ('a', 'w') OR p.proretset;

-- name: aggregates
SELECT DISTINCT p.proname::text AS name FROM pg_proc AS p WHERE p.prokind = 'a';

-- name: unique_keys(schema, name)
-- The columns of each index that keeps rows apart, whatever else they have.
SELECT ARRAY(
    SELECT a.attname::text FROM pg_attribute AS a
    WHERE a.attrelid = c.oid AND a.attnum = ANY ((i.indkey::smallint[])[0 : i.indnkeyatts - 1])
) AS columns
FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = :schema AND c.relname = :name
  AND i.indisunique AND i.indisvalid AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL;

-- name: given_columns(schema, name)$
-- Those that are never NULL.
SELECT coalesce(array_agg(a.attname::text), '{}')
FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = :schema AND c.relname = :name AND a.attnotnull AND a.attnum > 0;

-- name: value_function!
-- A template: an expression that may fail. Not volatile, so that Postgres leaves it out where nobody asks for it.
CREATE FUNCTION {name}({parameters}) RETURNS {type}
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS {body};

-- name: value_body!
-- What comes from other transactions goes on, as a cancelled query does by itself.
BEGIN
    RETURN {expression};
EXCEPTION
    WHEN transaction_rollback OR lock_not_available THEN RAISE;
    WHEN OTHERS THEN RETURN NULL;
END;

-- name: failure_function!
CREATE FUNCTION {name}({parameters}) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS {body};

-- name: failure_body!
BEGIN
    PERFORM {expression};
    RETURN false;
EXCEPTION
    WHEN transaction_rollback OR lock_not_available THEN RAISE;
    WHEN OTHERS THEN RETURN true;
END;

-- name: integer_function!
-- A bigint that shall be an integer, such as the id of an origin. Postgres puts the text in the place of the call.
CREATE FUNCTION {name}(p1 bigint) RETURNS {type} LANGUAGE sql IMMUTABLE AS {body};

-- name: integer_value_body!
SELECT CASE WHEN {fits} THEN p1::pg_catalog.int4 END;

-- name: integer_failure_body!
SELECT NOT {fits};

-- name: is_integer!
p1 OPERATOR(pg_catalog.>=) '-2147483648'::pg_catalog.int8 AND p1 OPERATOR(pg_catalog.<=) '2147483647'::pg_catalog.int8;

-- name: users_path$
-- The search path of the role, to find the tables that a user names, and the program's own.
SELECT concat_ws(', ', nullif(reset_val, ''), quote_ident(:schema), 'pg_temp') FROM pg_settings WHERE name = 'search_path';

-- name: set_path$
-- For this transaction.
SELECT set_config('search_path', :path, true);

-- name: set_time_zone$
-- For this transaction.
SELECT set_config('TimeZone', :zone, true);

-- name: limit_lock_wait$
-- For this transaction.
SELECT set_config('lock_timeout', :wait, true);

-- name: kind_of_contact(schema)$
-- That of the program's `contact`: table, view, none.
SELECT c.relkind::text FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = :schema AND c.relname = 'contact';

-- name: has_rows!
-- A template.
SELECT EXISTS (SELECT FROM {table}) AS found;

-- name: put_own_table_aside!
-- A template. Its indexes, triggers and sequence stay with it.
ALTER TABLE {table} RENAME TO contact_own;

-- name: take_own_table_back!
-- A template.
ALTER TABLE IF EXISTS {table} RENAME TO contact;

-- name: make_view!
-- A template.
CREATE VIEW {view} AS {select};

-- name: drop_view!
-- A template.
DROP VIEW IF EXISTS {view};

-- name: adopted^
-- NULL if no table is adopted.
SELECT plan, program_version, adopted_at, former_origins FROM adopted;

-- name: note_adopted!
INSERT INTO adopted (plan, program_version, joined, former_origins) VALUES (
    :plan, :version, :joined, (SELECT coalesce(jsonb_agg(jsonb_build_array(kind, id)), '[]') FROM origin)
)
ON CONFLICT (only_row) DO UPDATE SET plan = excluded.plan, program_version = excluded.program_version,
    joined = excluded.joined;

-- name: note_table!
INSERT INTO adopted_table (schema_name, table_name, columns, triggers) VALUES (:schema, :name, :columns, :triggers);

-- name: forget_tables!
WITH failures AS (DELETE FROM adopted_failure) DELETE FROM adopted_table;

-- name: forget_adopted!
DELETE FROM adopted;

-- name: made_functions(schema)
-- Functions that adopting has made.
SELECT p.oid::regprocedure::text AS signature FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
WHERE n.nspname = :schema AND p.proname ~ '^adopted_(key|(value_|failure_|named_)?[0-9]+(_[a-z]+)?)$';

-- name: drop_function!
-- A template. The triggers go with it. To drop them by name one must own the table.
DROP FUNCTION {signature} CASCADE;

-- name: taken_field^
SELECT id, name FROM contact_field WHERE id = ANY (:ids) ORDER BY id LIMIT 1;

-- name: add_field!
INSERT INTO contact_field (id, name, application_type, column_name, exportable, names)
VALUES (:id, :name, :application_type, :column, :exportable, :names);

-- name: add_choice!
INSERT INTO contact_field_choice (field_id, id, labels) VALUES (:field_id, :id, :labels);

-- name: forget_fields!
DELETE FROM contact_field WHERE id = ANY (:ids);

-- name: add_seen_origins!
-- A template: those that contacts have now.
INSERT INTO {schema}.origin (kind, id, name)
SELECT DISTINCT q.origin_kind, q.origin_id, CASE WHEN q.origin_kind = 'api' AND q.origin_id = 0 THEN 'No source'
    ELSE q.origin_kind || ' ' || q.origin_id END
FROM ({pairs}) AS q
ON CONFLICT DO NOTHING;

-- name: add_named_origins!
-- A template.
INSERT INTO {schema}.origin (kind, id, name) {named} ON CONFLICT (kind, id) DO UPDATE SET name = excluded.name;

-- name: forget_origins!
DELETE FROM origin AS o WHERE NOT EXISTS (
    SELECT FROM jsonb_array_elements(CAST(:former AS jsonb)) AS f WHERE f ->> 0 = o.kind AND CAST(f ->> 1 AS integer) = o.id
);

-- name: log_key_type$
SELECT format_type(a.atttypid, a.atttypmod) FROM pg_attribute AS a
WHERE a.attrelid = 'contact_change'::regclass AND a.attname = 'contact_id';

-- name: make_log_of_uuid!
-- Both are empty.
ALTER TABLE contact_change ALTER COLUMN contact_id TYPE uuid USING NULL::uuid;
ALTER TABLE contact_removal ALTER COLUMN contact_ids TYPE uuid[] USING NULL::uuid[];

-- name: make_log_of_numbers!
ALTER TABLE contact_change ALTER COLUMN contact_id TYPE bigint USING NULL::bigint;
ALTER TABLE contact_removal ALTER COLUMN contact_ids TYPE bigint[] USING NULL::bigint[];

-- name: log_has_rows$
SELECT EXISTS (SELECT FROM contact_change) OR EXISTS (SELECT FROM contact_removal);

-- name: forget_changes!
WITH removed AS (DELETE FROM contact_removal WHERE changed_at >= :since)
DELETE FROM contact_change WHERE changed_at >= :since;

-- name: relations_below(schema, name)
-- A table with its partitions and children, at any depth.
WITH RECURSIVE below AS (
    SELECT c.oid FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname = :schema AND c.relname = :name
    UNION
    SELECT i.inhrelid FROM pg_inherits AS i JOIN below AS b ON b.oid = i.inhparent
)
SELECT n.nspname AS schema_name, c.relname AS table_name, c.relkind::text AS kind
FROM below AS b JOIN pg_class AS c ON c.oid = b.oid JOIN pg_namespace AS n ON n.oid = c.relnamespace
ORDER BY n.nspname, c.relname;

-- name: has_unique_key$
-- True if an index on nothing else keeps a column unique. The table is found by the search path.
SELECT EXISTS (
    SELECT FROM pg_index AS i JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
    WHERE i.indrelid = to_regclass(:table) AND a.attname = :key AND a.attnotnull
      AND i.indisunique AND i.indisvalid AND i.indimmediate AND i.indnkeyatts = 1 AND i.indpred IS NULL
);

-- name: wrong_id!
-- A template: an id that repeats or is NULL.
SELECT q.id::text AS id, count(*) AS times FROM {view} AS q GROUP BY q.id HAVING count(*) > 1 OR q.id IS NULL LIMIT 1;

-- name: unsteady_function(schema, name)$
-- A function of a view, or of a view inside it, whose result may change without a change of a row.
WITH RECURSIVE views AS (
    SELECT c.oid FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname = :schema AND c.relname = :name
    UNION
    SELECT d.refobjid FROM views AS v JOIN pg_rewrite AS r ON r.ev_class = v.oid
    JOIN pg_depend AS d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid AND d.refclassid = 'pg_class'::regclass
    JOIN pg_class AS c ON c.oid = d.refobjid AND c.relkind = 'v'
)
SELECT coalesce(
    (
        SELECT p.oid::regprocedure::text
        FROM views AS v JOIN pg_rewrite AS r ON r.ev_class = v.oid,
            regexp_matches(r.ev_action::text, ':(?:funcid|opfuncid|winfnoid|aggfnoid) (\d+)', 'g') AS found,
            pg_proc AS p
        WHERE p.oid = found[1]::oid AND (
            p.provolatile = 'v' OR p.proname IN ('now', 'transaction_timestamp', 'statement_timestamp')
            OR (p.provolatile = 's' AND p.pronamespace <> 'pg_catalog'::regnamespace)
        )
        LIMIT 1
    ),
    (
        SELECT 'now(), current_date or the like'
        FROM views AS v JOIN pg_rewrite AS r ON r.ev_class = v.oid WHERE strpos(r.ev_action::text, '{SQLVALUEFUNCTION') > 0
        LIMIT 1
    )
);

-- name: lock_table!
-- A template: as CREATE TRIGGER does. Readers go on.
LOCK TABLE ONLY {table} IN SHARE ROW EXCLUSIVE MODE;

-- name: lockable
-- What adopting or releasing may have to wait for, of what there is before.
SELECT c.oid FROM adopted_table AS r
JOIN pg_namespace AS n ON n.nspname = r.schema_name JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relname = r.table_name
UNION
SELECT c.oid FROM unnest(ARRAY['contact', 'contact_own', 'contact_change', 'contact_removal', 'contact_field', 'origin']) AS t (name)
JOIN pg_class AS c ON c.oid = to_regclass(t.name);

-- name: oid_of_table(schema, name)$
SELECT c.oid FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE n.nspname = :schema AND c.relname = :name;

-- name: lockable_tables
-- Tables that are watched, if the role may lock them.
SELECT r.schema_name, r.table_name FROM adopted_table AS r
JOIN pg_namespace AS n ON n.nspname = r.schema_name JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relname = r.table_name
WHERE has_table_privilege(c.oid, 'UPDATE, DELETE, TRUNCATE');

-- name: has_memberships(schema)$
SELECT to_regclass(quote_ident(:schema) || '.contact_origin') IS NOT NULL;

-- name: keep_former!
-- A template: the contacts of the mapping that is about to go, with their origins.
CREATE UNLOGGED TABLE {former} AS {pairs};
ANALYZE {former};

-- name: log_difference!
-- A template. One row of removals for each origin, as a statement that deletes them all would log.
WITH moved AS MATERIALIZED (
    SELECT f.id AS former_id, n.id AS new_id, coalesce(f.origin_kind, n.origin_kind) AS origin_kind,
           coalesce(f.origin_id, n.origin_id) AS origin_id
    FROM {former} AS f FULL JOIN ({pairs}) AS n
        ON n.id = f.id AND n.origin_kind = f.origin_kind AND n.origin_id = f.origin_id
    WHERE f.id IS NULL OR n.id IS NULL
), came AS (
    INSERT INTO {schema}.contact_change (contact_id, origin_kind, origin_id, changed_at, kind)
    SELECT m.new_id, m.origin_kind, m.origin_id, (SELECT {schema}.contact_change_time()),
           CASE WHEN was.id IS NULL THEN 'c' ELSE 'u' END::"char"
    FROM moved AS m LEFT JOIN (SELECT DISTINCT f.id FROM {former} AS f) AS was ON was.id = m.new_id
    WHERE m.new_id IS NOT NULL
)
INSERT INTO {schema}.contact_removal (origin_kind, origin_id, changed_at, kind, contact_ids)
SELECT m.origin_kind, m.origin_id, (SELECT {schema}.contact_change_time()),
       CASE WHEN q.id IS NULL THEN 'd' ELSE 'm' END::"char", array_agg(m.former_id)
FROM moved AS m LEFT JOIN {view} AS q ON q.id = m.former_id
WHERE m.former_id IS NOT NULL GROUP BY 1, 2, 4;

-- name: forget_former!
DROP TABLE {former};

-- name: log_all!
-- A template: the next contacts by id, once each.
WITH ids AS (
    SELECT q.id FROM {view} AS q WHERE {behind} ORDER BY q.id LIMIT {most}
), logged AS (
    INSERT INTO {schema}.contact_change (contact_id, origin_kind, origin_id, changed_at, kind)
    SELECT p.id, p.origin_kind, p.origin_id, (SELECT {schema}.contact_change_time()), 'u'
    FROM ids AS i JOIN ({pairs}) AS p ON p.id = i.id
)
SELECT (SELECT m.id::text FROM ids AS m ORDER BY m.id DESC LIMIT 1) AS last, (SELECT count(*) FROM ids AS i) AS contacts;

-- name: table_found^
-- By the search path.
SELECT n.nspname AS schema_name, c.relname AS table_name
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE c.oid = to_regclass(:table);

-- name: analyze_log!
ANALYZE contact_change;

-- name: virtual_column$
-- A watched column that triggers cannot see: it is NULL in the rows that they are given.
SELECT a.attname::text FROM pg_attribute AS a
JOIN pg_class AS c ON c.oid = a.attrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = :schema AND c.relname = :name AND a.attgenerated = 'v' AND a.attname = ANY (:columns) LIMIT 1;
