-- The schema of the program, which comes first in the search path of its sessions (see pin_settings): its state, and how
-- it comes from one version to the next.

-- name: exists$
SELECT to_regnamespace(quote_ident(:schema)) IS NOT NULL;

-- name: current$
-- The first of the search path: that of the program in its sessions, once it exists.
SELECT current_schema();

-- name: find_postgres_names_only!
-- For this transaction.
SET LOCAL search_path = pg_catalog, pg_temp;

-- name: find_names_in!
-- The same.
SELECT set_config('search_path', quote_ident(:schema) || ', pg_temp', true);

-- name: create!
-- A template.
CREATE SCHEMA {schema};

-- name: may_be_used$
SELECT has_schema_privilege(oid, 'USAGE') AND has_schema_privilege(oid, 'CREATE') FROM pg_namespace WHERE nspname = :schema;

-- name: open_to_all$
-- True if every role may create functions and operators in it.
SELECT has_schema_privilege('public', oid, 'CREATE') FROM pg_namespace WHERE nspname = :schema;

-- name: found_by_role$
-- The schema of the log of changes that the role's own search path leads to: older programs found their tables so.
SELECT n.nspname
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace, pg_settings AS s
WHERE s.name = 'search_path' AND c.relname = 'contact_change' AND c.relkind = 'p'
  AND (n.nspname = current_user OR strpos(s.reset_val, n.nspname) > 0)
ORDER BY n.nspname = current_user DESC LIMIT 1;

-- name: foreign_name^
-- A function named like one of Postgres' own, or an operator, that a role with fewer rights has put where our statements look
-- for names. Every comparison here is one of equal types: no other operator fits better.
SELECT p.oid::regprocedure::text AS name, pg_get_userbyid(p.proowner) AS owner
FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
WHERE n.nspname = ANY (current_schemas(false)) AND NOT pg_has_role(p.proowner, current_user, 'MEMBER')
  AND p.proname IN (SELECT k.proname FROM pg_proc AS k WHERE k.pronamespace = 'pg_catalog'::regnamespace::oid)
  AND NOT EXISTS (
      SELECT FROM pg_depend AS d
      WHERE d.classid = 'pg_proc'::regclass::oid AND d.objid = p.oid AND d.deptype = 'e'::"char"  -- of an extension
  )
UNION ALL
SELECT o.oid::regoperator::text, pg_get_userbyid(o.oprowner)
FROM pg_operator AS o JOIN pg_namespace AS n ON n.oid = o.oprnamespace
WHERE n.nspname = ANY (current_schemas(false)) AND NOT pg_has_role(o.oprowner, current_user, 'MEMBER')
  AND NOT EXISTS (
      SELECT FROM pg_depend AS d
      WHERE d.classid = 'pg_operator'::regclass::oid AND d.objid = o.oid AND d.deptype = 'e'::"char"
  )
LIMIT 1;

-- name: has_own_table$
SELECT to_regclass('contactexport_version') IS NOT NULL;

-- name: may_have_former_table$
-- That of Alembic's default name, which may be another program's. So it counts only beside tables of ours.
SELECT to_regclass('alembic_version') IS NOT NULL AND to_regclass('contact_change') IS NOT NULL
    AND to_regclass('contact_field_choice') IS NOT NULL AND to_regclass('export') IS NOT NULL;

-- name: has_checksums$
SELECT to_regclass('contactexport_checksum') IS NOT NULL;

-- name: own_version$
SELECT version_num FROM contactexport_version;

-- name: former_version$
-- Another program's may be several.
SELECT max(version_num) FROM alembic_version HAVING count(*) = 1;

-- name: take_former_table#
-- As Alembic makes it: renamed, it would keep the names of its constraints.
CREATE TABLE contactexport_version (
    version_num varchar(32) NOT NULL, CONSTRAINT contactexport_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO contactexport_version SELECT version_num FROM alembic_version;
DROP TABLE alembic_version;

-- name: make_checksums!
CREATE TABLE contactexport_checksum (
    version text PRIMARY KEY,
    sha256 text NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- name: is_contacts_only$
SELECT obj_description(to_regclass('contactexport_version'), 'pg_class') IS NOT DISTINCT FROM 'contacts only';

-- name: keep_contacts_only#
-- Of a database in which nobody has stored an export or a user yet.
DROP TABLE
    console_session, console_link, export_event,
    export, export_row_mark, feed, feed_event, manifest_key, api_user, access_token, wsse_nonce, request_count, ftp_host_trait, installation,
    export_total, export_attempt_total, export_worker, export_last_sweep;
DROP FUNCTION
    export_accept, export_claim_check, export_deliveries, export_event_note, export_count_end, export_count_attempt,
    export_count_deleted;
COMMENT ON TABLE contactexport_version IS 'contacts only';

-- name: checksums$
SELECT coalesce(jsonb_object_agg(version, sha256), '{}') FROM contactexport_checksum;

-- name: note_checksum!
INSERT INTO contactexport_checksum (version, sha256) VALUES (:version, :sha256);

-- name: lacks_index_by_time$
-- An export of all origins needs it. From 18 on Postgres skips from origin to origin in the other index.
SELECT current_setting('server_version_num')::integer < 180000 AND to_regclass('contact_change') IS NOT NULL
    AND to_regclass('contact_change_by_time') IS NULL;

-- name: make_index_by_time#
SET LOCAL lock_timeout = '5s';
CREATE INDEX contact_change_by_time ON contact_change (changed_at);
SET LOCAL lock_timeout TO DEFAULT;

-- name: taken_names$
-- Which of these names something in the schema has.
SELECT array_agg(DISTINCT name) FROM unnest(CAST(:names AS text[])) AS name
WHERE EXISTS (SELECT FROM pg_class AS c WHERE c.relname = name AND c.relnamespace = to_regnamespace(quote_ident(:schema)))
   OR EXISTS (SELECT FROM pg_type AS t WHERE t.typname = name AND t.typnamespace = to_regnamespace(quote_ident(:schema)))
   OR EXISTS (SELECT FROM pg_proc AS p WHERE p.proname = name AND p.pronamespace = to_regnamespace(quote_ident(:schema)));

-- name: parts$
-- What the schema consists of, as migrations/schema.txt lists it: a line each, with the text of functions. Left out are
-- `contact`, which may be an adopter's, months of the log, and the index that only some servers need.
WITH tables AS (
    SELECT c.oid, c.relname, c.relkind FROM pg_class AS c
    WHERE c.relnamespace = to_regnamespace(quote_ident(:schema)) AND c.relkind IN ('r', 'p', 'S')
      AND (NOT c.relispartition OR c.relname = 'contact_change_other')
      AND c.relname NOT IN ('contact', 'contact_id_seq')
)
SELECT array_agg(ARRAY[line, body]) FROM (
    SELECT CASE t.relkind WHEN 'S' THEN 'sequence ' ELSE 'table ' END || t.relname AS line, NULL AS body FROM tables AS t
    UNION ALL
    SELECT concat(
        'column ', t.relname, '.', a.attname, ' ', format_type(a.atttypid, a.atttypmod), CASE WHEN a.attnotnull THEN ' not null' END
    ), NULL
    FROM tables AS t JOIN pg_attribute AS a ON a.attrelid = t.oid
    WHERE t.relkind <> 'S' AND t.relname <> 'contact_change_other' AND a.attnum > 0 AND NOT a.attisdropped
    UNION ALL
    SELECT concat(
        CASE WHEN i.indisunique THEN 'unique ' END, 'index ', c.relname, ' on ', t.relname, ' (',
        (SELECT string_agg(pg_get_indexdef(i.indexrelid, k, false), ', ' ORDER BY k) FROM generate_series(1, i.indnatts) AS k),
        ')', ' where ' || pg_get_expr(i.indpred, i.indrelid)
    ), NULL
    FROM tables AS t JOIN pg_index AS i ON i.indrelid = t.oid JOIN pg_class AS c ON c.oid = i.indexrelid
    WHERE NOT c.relispartition AND c.relname <> 'contact_change_by_time'
    UNION ALL
    SELECT concat('constraint ', o.conname, ' of ', t.relname), NULL
    FROM tables AS t JOIN pg_constraint AS o ON o.conrelid = t.oid
    WHERE o.contype IN ('c', 'f') AND t.relname <> 'contact_change_other'
    UNION ALL
    SELECT concat('trigger ', g.tgname, ' of ', t.relname), NULL
    FROM tables AS t JOIN pg_trigger AS g ON g.tgrelid = t.oid
    WHERE NOT g.tgisinternal AND t.relname <> 'contact_change_other'
    UNION ALL
    SELECT concat('function ', p.proname, '(', oidvectortypes(p.proargtypes), ')'), p.prosrc
    FROM pg_proc AS p WHERE p.pronamespace = to_regnamespace(quote_ident(:schema))
) AS part;
