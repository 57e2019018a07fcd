-- Whether every change of contacts is logged, whether the program's own table is read or a view of others. The part
-- `watched` is put into the queries below, as a template.

-- name: is_own_table_whole$
-- True if `contact` is the program's own table, and surely nothing of it is missed. Asked first, because looking for what
-- is missed takes a new session twenty times as long.
SELECT c.relkind = 'r' AND NOT c.relhassubclass AND NOT c.relrowsecurity AND (
        SELECT count(*) FROM pg_trigger AS g JOIN pg_proc AS p ON p.oid = g.tgfoid
        WHERE g.tgrelid = c.oid AND g.tgenabled IN ('O', 'A') AND g.tgname IN (
            'contact_inserted', 'contact_updated', 'contact_deleted', 'contact_truncated'
        ) AND p.proname IN ('contact_log_insert', 'contact_log_update', 'contact_log_delete', 'contact_log_truncate')
    ) = 4
    AND to_regclass('contact_origin') IS NULL
    AND NOT EXISTS (SELECT FROM pg_subscription)
    AND NOT EXISTS (
        SELECT FROM pg_db_role_setting AS s, unnest(s.setconfig) AS one WHERE strpos(one, 'session_replication_role') = 1
    )
FROM pg_class AS c WHERE c.oid = to_regclass('contact');

-- name: watched!
-- reached: what `contact` and `contact_origin` lead to through views, each with the role that reads it. base: what of it
-- holds rows, with the columns that are read. tree: with all partitions and children. capture: the triggers whose function
-- writes the log, by itself or by another function.
-- recorded: what `flask contacts adopt` watches. A search by name would ask for the right to use the schema, which who reads
-- a view needs not have.
recorded AS MATERIALIZED (
    SELECT c.oid AS relation, r.schema_name || '.' || r.table_name AS name, r.columns, r.triggers
    FROM adopted_table AS r
    LEFT JOIN pg_namespace AS n ON n.nspname = r.schema_name
    LEFT JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relname = r.table_name
),
program AS (SELECT oid AS role FROM pg_roles WHERE rolname = current_user),
reached AS (
    SELECT c.oid, c.relkind, p.role FROM pg_class AS c, program AS p
    WHERE c.oid IN (to_regclass('contact'), to_regclass('contact_origin'))
    UNION
    SELECT c.oid, c.relkind, CASE
        WHEN EXISTS (
            SELECT FROM pg_options_to_table(w.reloptions)
            WHERE option_name = 'security_invoker' AND option_value::boolean
        ) THEN p.role ELSE w.relowner
    END
    FROM program AS p, reached AS v
    JOIN pg_class AS w ON w.oid = v.oid AND w.relkind = 'v'
    JOIN pg_rewrite AS r ON r.ev_class = w.oid AND r.ev_type = '1'
    JOIN pg_depend AS d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid AND d.refclassid = 'pg_class'::regclass
    JOIN pg_class AS c ON c.oid = d.refobjid AND c.relkind IN ('r', 'p', 'f', 'm', 'v')
),
rule AS (
    SELECT r.oid, r.ev_class AS view, r.ev_action::text AS tree
    FROM pg_rewrite AS r WHERE r.ev_type = '1' AND r.ev_class IN (SELECT v.oid FROM reached AS v WHERE v.relkind = 'v')
),
base AS (SELECT DISTINCT v.oid, v.relkind FROM reached AS v WHERE v.relkind <> 'v'),
situation AS (
    SELECT CASE
        WHEN EXISTS (SELECT FROM base AS b WHERE b.oid = to_regclass('contact')) THEN 'own'
        WHEN EXISTS (SELECT FROM recorded) THEN 'adopted'
        ELSE 'by hand'
    END AS how
),
needed AS (
    SELECT d.refobjid AS relation, d.refobjsubid AS number
    FROM rule AS r JOIN pg_depend AS d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
    WHERE d.refclassid = 'pg_class'::regclass AND d.refobjsubid > 0
    UNION
    -- A whole row stands in the rule as column 0, of the type that the table has.
    SELECT a.attrelid, a.attnum
    FROM rule AS r, regexp_matches(r.tree, ':varattno 0 :vartype (\d+) ', 'g') AS whole
    JOIN pg_class AS c ON c.reltype = whole[1]::oid
    JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    UNION
    SELECT a.attrelid, a.attnum
    FROM pg_attribute AS a WHERE a.attrelid = to_regclass('contact') AND a.attnum > 0 AND NOT a.attisdropped
),
tree AS (
    SELECT b.oid AS relation, b.oid AS top FROM base AS b
    UNION
    SELECT i.inhrelid, t.top FROM tree AS t JOIN pg_inherits AS i ON i.inhparent = t.relation
),
writes AS MATERIALIZED (
    SELECT p.oid, p.proname FROM pg_proc AS p
    WHERE p.pronamespace <> 'pg_catalog'::regnamespace AND p.prosrc ~ '\mcontact_(change|removal)\M'
),
capture AS MATERIALIZED (
    SELECT g.tgrelid AS relation, g.tgname AS name, g.tgtype AS type, g.tgenabled AS enabled, g.tgattr AS columns,
           f.proowner AS owner, f.prosecdef AS definer, lower(b.body) AS body,
           -- It compares whole rows, or nothing.
           b.body ~* '\.\*|\*[<>=]|jsonb|\mexecute\M|(\mold\M|\mnew\M)\s+is\s'
               OR b.body !~* '<>|!=|\mdistinct\M|\mexcept\M' AS whole
    FROM pg_trigger AS g
    JOIN pg_proc AS f ON f.oid = g.tgfoid AND f.pronamespace <> 'pg_catalog'::regnamespace,
        concat(f.prosrc, CASE WHEN g.tgqual IS NOT NULL THEN pg_get_triggerdef(g.oid) END) AS b (body)
    WHERE g.tgrelid IN (SELECT t.relation FROM tree AS t)
      AND EXISTS (SELECT FROM writes AS w WHERE w.oid = f.oid OR strpos(f.prosrc, w.proname) > 0)
)

-- name: gaps!
-- A template, as all below: {watched}. What is not logged, a row each; `how` the contacts came here.
WITH RECURSIVE {watched},
event (name, bit, position) AS (VALUES ('INSERT', 4, 1), ('UPDATE', 16, 2), ('DELETE', 8, 3), ('TRUNCATE', 32, 4)),
lost AS (
    SELECT r.relation, g.name
    FROM recorded AS r, unnest(r.triggers) AS g (name)
    WHERE r.relation IS NOT NULL
      AND NOT EXISTS (SELECT FROM pg_trigger AS t WHERE t.tgrelid = r.relation AND t.tgname = g.name)
),
unlogged AS (
    SELECT t.relation, t.top, string_agg(e.name, ', ' ORDER BY e.position) AS events, min(e.position) AS first
    FROM (SELECT relation, min(top) AS top FROM tree GROUP BY relation) AS t
    JOIN pg_class AS c ON c.oid = t.relation AND c.relkind IN ('r', 'p')
    -- TRUNCATE of a partitioned table fires the triggers of its partitions.
    JOIN event AS e ON NOT (c.relkind = 'p' AND e.name = 'TRUNCATE')
        AND NOT EXISTS (SELECT FROM capture AS g WHERE g.relation = t.relation AND g.type & e.bit <> 0)
    WHERE t.relation NOT IN (SELECT l.relation FROM lost AS l)
    GROUP BY t.relation, t.top
),
unwatched_column AS (
    SELECT n.relation, a.attname AS name
    FROM needed AS n
    JOIN base AS b ON b.oid = n.relation
    JOIN pg_attribute AS a ON a.attrelid = n.relation AND a.attnum = n.number
    LEFT JOIN recorded AS r ON r.relation = n.relation
    WHERE CASE
        WHEN r.relation IS NOT NULL THEN NOT a.attname = ANY (r.columns)
        -- Triggers made by hand: one looks at a column if its function names it.
        ELSE EXISTS (SELECT FROM capture AS g WHERE g.relation = n.relation AND g.type & 16 <> 0)
            AND NOT EXISTS (
                SELECT FROM capture AS g
                WHERE g.relation = n.relation AND g.type & 16 <> 0
                  AND (cardinality(g.columns::smallint[]) = 0 OR n.number = ANY (g.columns::smallint[]))
                  AND (g.whole OR strpos(g.body, lower(a.attname)) > 0)
            )
    END
),
hidden AS (
    SELECT b.oid AS relation, r.rolname AS role
    FROM base AS b
    JOIN pg_class AS c ON c.oid = b.oid AND c.relrowsecurity
    JOIN pg_roles AS r ON NOT r.rolsuper AND NOT r.rolbypassrls
        AND NOT (pg_has_role(r.oid, c.relowner, 'USAGE') AND NOT c.relforcerowsecurity)
    WHERE r.oid IN (SELECT v.role FROM reached AS v WHERE v.oid = b.oid)
       OR r.oid IN (SELECT g.owner FROM capture AS g WHERE g.definer)
),
-- Rows that a subscription brings fire no trigger for statements, and of those for rows only such as always fire.
deaf AS (
    SELECT t.relation FROM tree AS t, event AS e
    WHERE e.position <= 3
      AND NOT EXISTS (
          SELECT FROM capture AS g
          WHERE g.relation = t.relation AND g.type & 1 <> 0 AND g.type & e.bit <> 0 AND g.enabled = 'A'
      )
),
subscription AS (
    SELECT DISTINCT s.subid, s.subname FROM pg_stat_subscription AS s
    WHERE s.subname IN (
        SELECT p.subname FROM pg_subscription AS p
        WHERE p.subdbid = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())
    )
),
replica (name) AS (
    SELECT concat_ws(
        ' of ', 'role ' || quote_ident(pg_get_userbyid(nullif(s.setrole, 0))),
        'database ' || quote_ident((SELECT d.datname FROM pg_database AS d WHERE d.oid = s.setdatabase))
    )
    FROM pg_db_role_setting AS s
    WHERE 'session_replication_role=replica' = ANY (s.setconfig)
      AND (s.setdatabase = 0 OR s.setdatabase = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database()))
)
SELECT g.kind, s.how, g.relation::regclass::text AS relation, g.name::text AS name
FROM situation AS s, (
    SELECT 'no contacts' AS kind, NULL::oid AS relation, NULL AS name WHERE to_regclass('contact') IS NULL
    UNION ALL
    SELECT 'table gone', NULL, r.name FROM recorded AS r WHERE r.relation IS NULL
    UNION ALL
    -- Such as a partition. The table that only names origins never was a part.
    SELECT 'detached', r.relation, NULL FROM recorded AS r
    WHERE r.relation NOT IN (SELECT t.relation FROM tree AS t) AND NOT starts_with(r.triggers[1], 'contactexport_named_')
    UNION ALL
    SELECT CASE c.relkind WHEN 'f' THEN 'foreign table' ELSE 'materialized view' END, c.oid, NULL
    FROM pg_class AS c WHERE c.relkind IN ('f', 'm') AND c.oid IN (SELECT t.relation FROM tree AS t)
    UNION ALL
    SELECT 'trigger missing', l.relation, string_agg(quote_ident(l.name), ', ' ORDER BY l.name) FROM lost AS l GROUP BY l.relation
    UNION ALL
    SELECT CASE t.tgenabled WHEN 'D' THEN 'trigger disabled' ELSE 'trigger of replicas' END, t.tgrelid, quote_ident(t.tgname)
    FROM pg_trigger AS t
    WHERE t.tgenabled IN ('D', 'R') AND (
        (t.tgrelid, t.tgname) IN (SELECT g.relation, g.name FROM capture AS g)
        OR EXISTS (SELECT FROM recorded AS r WHERE r.relation = t.tgrelid AND t.tgname = ANY (r.triggers))
    )
    UNION ALL
    SELECT CASE WHEN u.first > 2 THEN 'removals' WHEN u.relation = u.top THEN 'not watched' ELSE 'child' END, u.relation,
           u.events
    FROM unlogged AS u
    UNION ALL
    SELECT 'column', u.relation, string_agg(u.name, ', ' ORDER BY u.name) FROM unwatched_column AS u GROUP BY u.relation
    UNION ALL
    SELECT 'not captured', c.oid, string_agg(DISTINCT f.event, ', ')
    FROM adopted_failure AS f JOIN pg_namespace AS n ON n.nspname = f.schema_name
    JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relname = f.table_name
    GROUP BY c.oid
    UNION ALL
    SELECT 'hidden rows', h.relation, string_agg(quote_ident(h.role), ', ' ORDER BY h.role)
    FROM hidden AS h GROUP BY h.relation
    UNION ALL
    SELECT DISTINCT 'hidden from writers', c.oid, NULL
    FROM pg_class AS c JOIN capture AS g ON NOT g.definer
    WHERE c.relrowsecurity AND c.oid IN (SELECT b.oid FROM base AS b)
    UNION ALL
    SELECT DISTINCT 'subscription', r.srrelid, quote_ident(s.subname)
    FROM pg_subscription_rel AS r JOIN subscription AS s ON s.subid = r.srsubid
    WHERE r.srrelid IN (SELECT d.relation FROM deaf AS d)
    UNION ALL
    SELECT 'silent subscription', NULL, quote_ident(s.subname)
    FROM subscription AS s
    WHERE NOT EXISTS (SELECT FROM pg_subscription_rel AS r WHERE r.srsubid = s.subid) AND EXISTS (SELECT FROM deaf)
    UNION ALL
    SELECT 'replica', NULL, r.name FROM replica AS r WHERE EXISTS (SELECT FROM capture AS g WHERE g.enabled <> 'A')
) AS g
ORDER BY 1, 3, 4;

-- name: prepare!
-- Planning takes longer than the query, and a session that reads exports lives long.
PREPARE {name} AS {query};

-- name: execute!
EXECUTE {name};

-- name: misreadings!
-- What cannot be read as the catalogue says, or changes without being written, a row each.
WITH RECURSIVE {watched},
wanted AS (
    SELECT f.column_name AS name, 'field ' || f.id AS purpose FROM contact_field AS f WHERE f.exportable
    UNION ALL SELECT 'id', 'every export'
    UNION ALL
    SELECT o.name, 'every export' FROM (VALUES ('origin_kind'), ('origin_id')) AS o (name)
    WHERE to_regclass('contact_origin') IS NULL
)
SELECT g.kind, s.how, g.relation::regclass::text AS relation, g.name::text AS name
FROM situation AS s, (
    SELECT 'column missing' AS kind, to_regclass('contact')::oid AS relation, format('%s (%s)', w.name, w.purpose) AS name
    FROM wanted AS w
    WHERE to_regclass('contact') IS NOT NULL AND NOT EXISTS (
        SELECT FROM pg_attribute AS a
        WHERE a.attrelid = to_regclass('contact') AND a.attname = w.name AND a.attnum > 0 AND NOT a.attisdropped
    )
    UNION ALL
    SELECT 'column forbidden', a.attrelid, string_agg(a.attname, ', ' ORDER BY a.attnum)
    FROM pg_attribute AS a
    WHERE a.attrelid = to_regclass('contact') AND a.attname IN (SELECT w.name FROM wanted AS w) AND a.attnum > 0
      AND NOT a.attisdropped AND NOT has_column_privilege(a.attrelid, a.attnum, 'SELECT')
    GROUP BY a.attrelid
    UNION ALL
    SELECT 'table forbidden', c.oid, quote_ident(current_user)
    FROM unnest(ARRAY['contact_change', 'contact_field', 'contact_field_choice', 'contact_origin', 'origin']) AS t (name)
    JOIN pg_class AS c ON c.oid = to_regclass(t.name)
    WHERE NOT has_table_privilege(c.oid, 'SELECT')
    UNION ALL
    SELECT 'base forbidden', b.oid, quote_ident(r.rolname)
    FROM base AS b
    JOIN reached AS v ON v.oid = b.oid
    JOIN pg_roles AS r ON r.oid = v.role
    WHERE b.oid IS DISTINCT FROM to_regclass('contact') AND EXISTS (
        SELECT FROM needed AS n
        WHERE n.relation = b.oid AND NOT has_column_privilege(r.oid, b.oid, n.number::smallint, 'SELECT')
    )
    UNION ALL
    SELECT DISTINCT 'log forbidden', to_regclass('contact_change')::oid, quote_ident(r.rolname)
    FROM capture AS g JOIN pg_roles AS r ON r.oid = g.owner
    WHERE g.definer AND NOT has_table_privilege(r.oid, to_regclass('contact_change'), 'INSERT')
    UNION ALL
    SELECT 'function', NULL, f.oid::regprocedure::text
    FROM pg_proc AS f JOIN pg_language AS l ON l.oid = f.prolang AND l.lanname NOT IN ('internal', 'c')
    -- Adopting has looked at what its own functions call.
    WHERE f.provolatile <> 'i' AND f.proname !~ '^adopted_value_[0-9]+$' AND f.oid IN (
        SELECT d.refobjid FROM rule AS r
        JOIN pg_depend AS d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
        WHERE d.refclassid = 'pg_proc'::regclass
    )
    UNION ALL
    -- Such as current_date, which is no function in a rule, and now().
    SELECT 'clock', r.view, NULL
    FROM rule AS r
    WHERE r.tree ~ 'SQLVALUEFUNCTION :op [0-8] ' OR EXISTS (
        SELECT FROM pg_proc AS f
        WHERE f.pronamespace = 'pg_catalog'::regnamespace AND strpos(r.tree, format(':funcid %s ', f.oid)) > 0 AND (
            f.proname IN (
                'now', 'transaction_timestamp', 'statement_timestamp', 'clock_timestamp', 'timeofday', 'random'
            ) OR f.proname = 'age' AND f.pronargs = 1
        )
    )
    UNION ALL
    -- The transactions of others, if others may write.
    SELECT 'statistics', NULL, quote_ident(p.rolname)
    FROM pg_roles AS p
    WHERE p.rolname = current_user AND NOT pg_has_role('pg_read_all_stats', 'USAGE') AND EXISTS (
        SELECT FROM tree AS t JOIN pg_class AS c ON c.oid = t.relation
        JOIN pg_roles AS r ON r.oid <> p.oid AND (r.oid = c.relowner OR r.rolcanlogin AND NOT r.rolsuper)
        WHERE has_table_privilege(r.oid, c.oid, 'INSERT, UPDATE, DELETE')
    )
) AS g
ORDER BY 1, 3, 4;

-- name: lacks_id$
SELECT EXISTS (SELECT FROM contact AS c WHERE c.id IS NULL) AS found;

-- name: repeated_id$
SELECT c.id::text AS id FROM contact AS c WHERE c.id IS NOT NULL GROUP BY c.id HAVING count(*) > 1 LIMIT 1;
