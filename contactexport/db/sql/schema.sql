-- name: has_version_table$
SELECT to_regclass('alembic_version') IS NOT NULL;

-- name: current_version$
SELECT version_num FROM alembic_version;

-- name: schema_of_log$
-- Where the log of changes stands, and with it everything else of ours.
SELECT n.nspname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.oid = to_regclass('contact_change')::oid;

-- name: schema_open_to_all$
-- The same, if every role may create functions and operators in it.
SELECT n.nspname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.oid = to_regclass('contact_change')::oid AND has_schema_privilege('public', n.oid, 'CREATE');

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
