-- The trigger functions that log what happens to adopted tables: templates. What is in braces and not explained is an
-- expression or a list of them over a row of the table. See docs/decisions/adopting.md.
-- Rows before and after a statement are contactexport_old and contactexport_new. An entry's time is asked for inside the
-- INSERT, after its lock on the log (see docs/decisions/changes.md).

-- name: function!
-- Nothing but names of Postgres' own are found by the search path.
CREATE FUNCTION {schema}.{name}() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp {settings} AS {body};

-- name: pinned_settings!
-- As adopting has them, and exports: all that tells how values are read and written. A writer may have others, by which a
-- change would not show. Setting them takes some microseconds, so only functions have this that need it.
-- timezone_abbreviations is left out: to set it, Postgres reads a file, which takes half a millisecond.
SET DateStyle FROM CURRENT SET IntervalStyle FROM CURRENT SET TimeZone FROM CURRENT
SET extra_float_digits FROM CURRENT SET bytea_output FROM CURRENT
SET xmlbinary FROM CURRENT SET xmloption FROM CURRENT SET lc_monetary FROM CURRENT SET lc_numeric FROM CURRENT
SET lc_time FROM CURRENT SET array_nulls FROM CURRENT SET default_text_search_config FROM CURRENT
SET standard_conforming_strings FROM CURRENT SET transform_null_equals FROM CURRENT;

-- name: frame!
#variable_conflict use_column
{body};

-- name: frame_of_what_may_fail!
-- The writer's statement must not fail because of what it is asked here, such as for a column that was renamed. What ends
-- transactions goes on: serialization failures, deadlocks, lock_timeout. So does a cancelled query, which OTHERS leaves out.
-- The setting tells the proof of adopting that the change itself was not logged.
#variable_conflict use_column
BEGIN
    {body};
EXCEPTION
    WHEN transaction_rollback OR lock_not_available THEN RAISE;
    WHEN OTHERS THEN
        PERFORM set_config('contactexport.failed', SQLSTATE || ' ' || SQLERRM, true);
        DECLARE
            contactexport_error text := SQLSTATE;
        BEGIN
            {instead};
        EXCEPTION
            WHEN transaction_rollback OR lock_not_available THEN RAISE;
            WHEN OTHERS THEN
                INSERT INTO {schema}.adopted_failure (schema_name, table_name, event, error)
                SELECT TG_TABLE_SCHEMA, TG_TABLE_NAME, TG_OP, contactexport_error WHERE NOT EXISTS (
                    SELECT FROM {schema}.adopted_failure AS f
                    WHERE f.schema_name = TG_TABLE_SCHEMA AND f.table_name = TG_TABLE_NAME AND f.event = TG_OP
                );
        END;
        RETURN NULL;
END;

-- name: log_possible!
-- Every contact that the rows may concern, of whatever origin: it may have changed, and may be gone. An export tells who is
-- there when it reads.
{first};
WITH gone AS MATERIALIZED ({gone}), come AS MATERIALIZED ({come}),
keys AS MATERIALIZED (SELECT DISTINCT k.key FROM ({keys}) AS k WHERE k.key IS NOT NULL),
removed AS (
    INSERT INTO {schema}.contact_removal (origin_kind, origin_id, changed_at, kind, contact_ids)
    SELECT 'any', 0, (SELECT {schema}.contact_change_time()), 'd'::"char", array_agg(k.key)
    FROM keys AS k WHERE {decides} HAVING count(*) > 0
)
INSERT INTO {schema}.contact_change (contact_id, origin_kind, origin_id, changed_at, kind)
SELECT k.key, 'any', 0, (SELECT {schema}.contact_change_time()), CASE WHEN {decides} THEN 'c' ELSE 'u' END::"char"
FROM keys AS k;

-- name: rows_that_changed!
SELECT {carried} FROM {rows} AS r WHERE {condition};

-- name: key_of_row!
({key})::{key_type};

-- name: key_of_row_if_it_is_one!
-- Another type, of which not every value is a key.
{schema}.adopted_key({key});

-- name: key_function!
CREATE FUNCTION {schema}.adopted_key(value anyelement) RETURNS {key_type}
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS {body};

-- name: key_body!
BEGIN
    RETURN value::{key_type};
EXCEPTION
    WHEN transaction_rollback OR lock_not_available THEN RAISE;
    WHEN OTHERS THEN RETURN NULL;
END;

-- name: key_of_path!
SELECT ({key}) AS key FROM {table} AS r {joins};

-- name: close_function!
REVOKE EXECUTE ON FUNCTION {schema}.{name}() FROM PUBLIC;

-- name: trigger!
CREATE TRIGGER {trigger} {when} ON {table} {transition} FOR EACH STATEMENT EXECUTE FUNCTION {schema}.{name}();

-- name: when_inserted!
AFTER INSERT;

-- name: rows_inserted!
REFERENCING NEW TABLE AS contactexport_new;

-- name: when_updated!
AFTER UPDATE;

-- name: rows_updated!
REFERENCING OLD TABLE AS contactexport_old NEW TABLE AS contactexport_new;

-- name: when_deleted!
AFTER DELETE;

-- name: rows_deleted!
REFERENCING OLD TABLE AS contactexport_old;

-- name: when_truncated!
BEFORE TRUNCATE;

-- name: when_begun!
BEFORE INSERT OR UPDATE OR DELETE;

-- name: begun_body!
-- Notes that a statement has begun to change a table that decides what is a contact: one, or many in one statement of the
-- client, as by cascades, triggers and WITH.
DECLARE
    contactexport_now text := extract(epoch FROM statement_timestamp())::text;
BEGIN
    PERFORM set_config('contactexport.statement', contactexport_now || CASE
        WHEN starts_with(current_setting('contactexport.statement', true), contactexport_now || ' ') THEN ' many'
        ELSE ' one'
    END, true);
    RETURN NULL;
END;

-- name: inserted_own_body!
-- Of the contacts' own table, whose rows alone tell whether they are contacts, and of which origin.
BEGIN
    INSERT INTO {schema}.contact_change (contact_id, origin_kind, origin_id, changed_at, kind)
    SELECT {n_id}, {n_kind}, {n_origin}, (SELECT {schema}.contact_change_time()), 'c'
    FROM contactexport_new AS n WHERE {n_holds};
    {origins}
    RETURN NULL;
END;

-- name: deleted_own_body!
BEGIN
    INSERT INTO {schema}.contact_removal (origin_kind, origin_id, changed_at, kind, contact_ids)
    SELECT {o_kind}, {o_origin}, (SELECT {schema}.contact_change_time()), 'd', array_agg(({o_id})::{key_type})
    FROM contactexport_old AS o WHERE {o_holds} GROUP BY 1, 2;
    RETURN NULL;
END;

-- name: truncated_own_body!
BEGIN
    PERFORM {schema}.contact_truncate_check();
    INSERT INTO {schema}.contact_removal (origin_kind, origin_id, changed_at, kind, contact_ids)
    SELECT {o_kind}, {o_origin}, (SELECT {schema}.contact_change_time()), 'd', array_agg(({o_id})::{key_type})
    FROM {table} AS o WHERE o.tableoid = TG_RELID AND {o_holds} GROUP BY 1, 2;
    RETURN NULL;
END;

-- name: updated_own_body!
-- Most updates are of one row, which needs no search for its former state. A session keeps the plan of its first update,
-- and for many rows that must not compare each with each: so no nested loops.
-- Most updates of many rows change no key and no origin, which the sums of hashes tell: then nobody has left.
DECLARE
    contactexport_nestloop text;
    contactexport_told text;
    contactexport_all_stay boolean;
    contactexport_all_changed boolean := false;
BEGIN
    IF NOT EXISTS (SELECT FROM contactexport_new AS n OFFSET 1) THEN
        INSERT INTO {schema}.contact_change (contact_id, origin_kind, origin_id, changed_at, kind)
        SELECT {n_id}, {n_kind}, {n_origin}, (SELECT {schema}.contact_change_time()),
               CASE WHEN {same_key} AND ({o_holds}) THEN 'u' ELSE 'c' END::"char"
        FROM contactexport_new AS n CROSS JOIN contactexport_old AS o
        WHERE ({n_holds}) AND (NOT {same_key} OR ({o_holds}) IS NOT TRUE OR {differ_in_one});
        IF NOT FOUND OR {may_leave} THEN
            INSERT INTO {schema}.contact_removal (origin_kind, origin_id, changed_at, kind, contact_ids)
            SELECT {o_kind}, {o_origin}, (SELECT {schema}.contact_change_time()),
                   CASE WHEN {same_key} AND ({n_holds}) THEN 'm' ELSE 'd' END::"char", ARRAY[({o_id})::{key_type}]
            FROM contactexport_new AS n CROSS JOIN contactexport_old AS o
            WHERE ({o_holds}) AND (NOT {same_key} OR ({n_holds}) IS NOT TRUE OR NOT ({same_origin}));
            {origins}
        END IF;
        RETURN NULL;
    END IF;
    contactexport_nestloop := current_setting('enable_nestloop');
    PERFORM set_config('enable_nestloop', 'off', true);
    contactexport_all_stay := (SELECT sum({n_decides}) FROM contactexport_new AS n)
        = (SELECT sum({o_decides}) FROM contactexport_old AS o);
    IF contactexport_all_stay AND EXISTS (SELECT FROM contactexport_new AS n OFFSET 100) THEN
        contactexport_told := {schema}.contact_column_told(
            TG_RELID, (SELECT jsonb_build_object({o_told}) FROM contactexport_old AS o LIMIT 1),
            (SELECT jsonb_build_object({n_told}) FROM contactexport_new AS n LIMIT 1)
        );
        IF contactexport_told IS NOT NULL THEN
            EXECUTE format({all_told}, contactexport_told) INTO contactexport_all_changed;
        END IF;
    END IF;
    IF contactexport_all_changed THEN
        INSERT INTO {schema}.contact_change (contact_id, origin_kind, origin_id, changed_at, kind)
        SELECT {n_id}, {n_kind}, {n_origin}, (SELECT {schema}.contact_change_time()), 'u'
        FROM contactexport_new AS n WHERE {n_holds};
    ELSE
        INSERT INTO {schema}.contact_change (contact_id, origin_kind, origin_id, changed_at, kind)
        SELECT {n_id}, {n_kind}, {n_origin}, (SELECT {schema}.contact_change_time()),
               CASE WHEN ({o_id}) IS NOT NULL AND ({o_holds}) THEN 'u' ELSE 'c' END::"char"
        FROM contactexport_new AS n LEFT JOIN contactexport_old AS o ON {same_key}
        WHERE ({n_holds}) AND (({o_id}) IS NULL OR ({o_holds}) IS NOT TRUE OR {differ});
    END IF;
    IF contactexport_all_stay IS NOT TRUE THEN
        INSERT INTO {schema}.contact_removal (origin_kind, origin_id, changed_at, kind, contact_ids)
        SELECT {o_kind}, {o_origin}, (SELECT {schema}.contact_change_time()),
               CASE WHEN ({n_id}) IS NOT NULL AND ({n_holds}) THEN 'm' ELSE 'd' END::"char",
               array_agg(({o_id})::{key_type})
        FROM contactexport_old AS o LEFT JOIN contactexport_new AS n ON {same_key}
        WHERE ({o_holds}) AND (({n_id}) IS NULL OR ({n_holds}) IS NOT TRUE OR NOT ({same_origin}))
        GROUP BY 1, 2, 4;
        {origins}
    END IF;
    PERFORM set_config('enable_nestloop', contactexport_nestloop, true);
    RETURN NULL;
END;

-- name: all_told!
-- Whether one column tells every row from what it was. Most updates of many rows set it to one value. Otherwise rows are
-- looked for by their key, but with that column only.
SELECT NOT EXISTS (
    SELECT FROM contactexport_new AS n WHERE n.%1$I IS DISTINCT FROM (SELECT f.%1$I FROM contactexport_new AS f LIMIT 1)
) AND NOT EXISTS (
    SELECT FROM contactexport_old AS o WHERE o.%1$I IS NOT DISTINCT FROM (SELECT f.%1$I FROM contactexport_new AS f LIMIT 1)
) OR NOT EXISTS (
    SELECT FROM contactexport_new AS n JOIN contactexport_old AS o ON {same_key} WHERE n.%1$I IS NOT DISTINCT FROM o.%1$I
);

-- name: has_left!
EXISTS (SELECT FROM contactexport_new AS n CROSS JOIN contactexport_old AS o WHERE NOT {same_key} OR NOT ({same_origin}));

-- name: decides_bigint!
-- A number for a contact and its origin.
hashint8extended({id}, 4 * ({origin})::bigint + CASE WHEN {holds} THEN 2 ELSE 0 END + CASE WHEN {kind} = 'form' THEN 1 ELSE 0 END);

-- name: decides_uuid!
uuid_hash_extended({id}, 4 * ({origin})::bigint + CASE WHEN {holds} THEN 2 ELSE 0 END + CASE WHEN {kind} = 'form' THEN 1 ELSE 0 END);

-- name: new_origins!
-- An origin that nobody has named is called after its kind and id. No INSERT without need: it makes a new version of the
-- catalogue, for which writers would wait for each other.
IF EXISTS (
    SELECT FROM contactexport_new AS n WHERE ({n_holds}) AND NOT EXISTS (
        SELECT FROM {schema}.origin AS known WHERE known.kind = ({n_kind}) AND known.id = ({n_origin})
    )
) THEN
    INSERT INTO {schema}.origin (kind, id, name)
    SELECT DISTINCT {n_kind}, {n_origin}, ({n_kind}) || ' ' || ({n_origin}) FROM contactexport_new AS n WHERE {n_holds}
    ON CONFLICT DO NOTHING;
END IF;

-- name: found_origins!
-- The same for those that were just logged.
IF contactexport_origins IS NOT NULL THEN
    INSERT INTO {schema}.origin (kind, id, name)
    SELECT l ->> 0, (l ->> 1)::integer, (l ->> 0) || ' ' || (l ->> 1) FROM jsonb_array_elements(contactexport_origins) AS l
    ON CONFLICT DO NOTHING;
END IF;

-- name: locks_first!
-- Who writes at the same time and does not see these changes has the lock too, or gets it before this transaction ends. So an
-- export can wait for all of them.
LOCK TABLE ONLY {schema}.contact_change IN ROW EXCLUSIVE MODE;
IF coalesce(current_setting('contactexport.seen', true), '') = '' THEN
    -- Shows exports, by a lock that nobody waits for, from which transaction on others may not have been seen.
    PERFORM set_config('contactexport.seen', 'from here on', true), pg_advisory_xact_lock_shared(
        hashtext('contactexport seen'), (x.number - 4294967296 * (x.number >> 31))::integer
    ) FROM (SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint & 4294967295 AS number) AS x;
END IF;

-- name: changed_body!
-- Of any other table.
-- A few rows are looked for one by one, with a plan that the session keeps. For many a plan of their own is made.
DECLARE
    contactexport_many boolean := {many};
    contactexport_stale boolean := current_setting('transaction_isolation') <> 'read committed';
    contactexport_origins jsonb;
BEGIN
    {first};
    IF EXISTS (SELECT FROM {rows} AS r OFFSET 100) THEN
        EXECUTE {many_rows} {into} USING contactexport_many, contactexport_stale;
    ELSE
        {few_rows};
    END IF;
    {origins}
    RETURN NULL;
END;

-- name: truncated_body!
BEGIN
    PERFORM {schema}.contact_truncate_check();
    LOCK TABLE ONLY {schema}.contact_change IN ROW EXCLUSIVE MODE;
    EXECUTE {many_rows} USING TG_RELID;
    RETURN NULL;
END;

-- name: is_many!
current_setting('contactexport.statement', true) = extract(epoch FROM statement_timestamp())::text || ' many';

-- name: row_state!
-- What is compared of a row, as written: values that are only equal, such as 1.0 and 1.00, make another file.
SELECT {carried}, ROW({all_atoms})::text AS image, ROW({deciding_atoms})::text AS decides FROM {rows} AS r;

-- name: no_row_state!
SELECT {carried}, ROW({all_atoms})::text AS image, ROW({deciding_atoms})::text AS decides FROM {rows} AS r WHERE false;

-- name: truncated_row_state!
SELECT {carried}, ROW({all_atoms})::text AS image, ROW({deciding_atoms})::text AS decides FROM {rows} AS r
WHERE r.tableoid = $1;

-- name: keys_of_rows!
-- {changed} rows lead to these keys. There is one for each occurrence of the table.
SELECT {key} AS key FROM {changed} AS r {joins};

-- name: join_on_the_way!
JOIN {table} AS {alias} ON {condition};

-- name: log_values!
-- For a table that only gives values: its rows decide neither whether somebody is a contact, nor of which origin.
INSERT INTO {schema}.contact_change (contact_id, origin_kind, origin_id, changed_at, kind)
WITH gone AS MATERIALIZED ({gone}), come AS MATERIALIZED ({come}),
touched AS MATERIALIZED (SELECT DISTINCT k.key FROM ({touched}) AS k WHERE k.key IS NOT NULL),
present AS MATERIALIZED ({present})
SELECT e.id, e.origin_kind, e.origin_id, (SELECT {schema}.contact_change_time()), 'u'::"char"
FROM (
    SELECT n.id, n.origin_kind, n.origin_id FROM present AS n
    UNION ALL
    SELECT t.key, 'any', 0 FROM touched AS t WHERE {stale} AND t.key NOT IN (SELECT n.id FROM present AS n)
) AS e;

-- name: log_deciding!
-- {before} are the contacts and origins as they were, {present} as they are now. Where one statement changes many tables,
-- what was before cannot be told by any of them alone: then {own} rows count as they are.
-- {possible} are pairs of contact and origin that may be made or ended by these rows together with what another transaction
-- does, which is not seen here. Their changes and removals are noted. An entry counts for what is true when an export reads
-- it: a change for who is there, a removal for who is not. The origin is "any" where the row does not tell it, and where a
-- statement changed many tables and it is not known what was before ({origin_unknown}).
WITH gone AS MATERIALIZED ({gone}), come AS MATERIALIZED ({come}),
touched AS MATERIALIZED (SELECT DISTINCT k.key FROM ({touched}) AS k WHERE k.key IS NOT NULL),
decided_gone AS MATERIALIZED ({decided_gone}), decided_come AS MATERIALIZED ({decided_come}),
decided AS MATERIALIZED (SELECT DISTINCT k.key FROM ({decided}) AS k WHERE k.key IS NOT NULL),
asked AS MATERIALIZED (SELECT t.key FROM touched AS t UNION SELECT d.key FROM decided AS d),
present AS MATERIALIZED ({present}),
before AS MATERIALIZED ({before} UNION {own}),
possible AS MATERIALIZED (
    SELECT DISTINCT p.id, p.origin_kind, p.origin_id, p.makes, p.needs FROM ({possible}) AS p
    WHERE p.id IS NOT NULL AND p.origin_kind IS NOT NULL AND p.origin_id IS NOT NULL
),
entries AS MATERIALIZED (
    SELECT n.id, n.origin_kind, n.origin_id, CASE
        WHEN n.id IN (SELECT d.key FROM decided AS d) AND n.id NOT IN (SELECT b.id FROM before AS b) THEN 'c' ELSE 'u'
    END AS kind
    FROM present AS n
    WHERE n.id IN (SELECT t.key FROM touched AS t)
        OR (n.id, n.origin_kind, n.origin_id) NOT IN (SELECT b.id, b.origin_kind, b.origin_id FROM before AS b)
        OR (n.id, n.origin_kind, n.origin_id) IN (SELECT p.id, p.origin_kind, p.origin_id FROM possible AS p WHERE p.makes)
    UNION ALL
    SELECT b.id, b.origin_kind, b.origin_id, CASE WHEN b.id IN (SELECT n.id FROM present AS n) THEN 'm' ELSE 'd' END
    FROM before AS b
    WHERE (b.id, b.origin_kind, b.origin_id) NOT IN (SELECT n.id, n.origin_kind, n.origin_id FROM present AS n)
    UNION ALL
    SELECT n.id, n.origin_kind, n.origin_id, 'm' FROM present AS n WHERE EXISTS (
        SELECT FROM possible AS p WHERE p.id = n.id
        AND (p.origin_kind = 'any' OR p.origin_kind = n.origin_kind AND p.origin_id = n.origin_id)
    )
    UNION ALL
    SELECT DISTINCT p.id, p.origin_kind, p.origin_id, 'u' FROM possible AS p
    WHERE p.makes AND (p.id, p.origin_kind, p.origin_id) NOT IN (SELECT n.id, n.origin_kind, n.origin_id FROM present AS n)
        AND CASE p.needs
            WHEN 'nothing' THEN true
            WHEN 'absence' THEN p.id NOT IN (SELECT n.id FROM present AS n) AND {key_exists_p}
            ELSE p.id IN (SELECT n.id FROM present AS n) OR {key_exists_p}
        END
    UNION ALL
    SELECT a.key, 'any', 0, 'u' FROM asked AS a WHERE {stale} AND a.key NOT IN (SELECT n.id FROM present AS n)
    UNION ALL
    SELECT d.key, 'any', 0, CASE WHEN d.key IN (SELECT n.id FROM present AS n) THEN 'm' ELSE 'd' END FROM decided AS d
    WHERE {many} AND ({origin_unknown} OR d.key NOT IN (SELECT n.id FROM present AS n)
        AND d.key NOT IN (SELECT b.id FROM before AS b) AND {unsure})
), changed AS (
    INSERT INTO {schema}.contact_change (contact_id, origin_kind, origin_id, changed_at, kind)
    SELECT e.id, e.origin_kind, e.origin_id, (SELECT {schema}.contact_change_time()), e.kind::"char"
    FROM entries AS e WHERE e.kind IN ('c', 'u')
), removed AS (
    INSERT INTO {schema}.contact_removal (origin_kind, origin_id, changed_at, kind, contact_ids)
    SELECT e.origin_kind, e.origin_id, (SELECT {schema}.contact_change_time()), e.kind::"char", array_agg(e.id)
    FROM entries AS e WHERE e.kind IN ('d', 'm') GROUP BY 1, 2, 4
)
SELECT jsonb_agg(DISTINCT jsonb_build_array(e.origin_kind, e.origin_id)) {into} FROM entries AS e
WHERE e.origin_kind <> 'any' AND NOT EXISTS (
    SELECT FROM {schema}.origin AS known WHERE known.kind = e.origin_kind AND known.id = e.origin_id
);

-- name: into_origins!
INTO contactexport_origins;

-- name: present_pairs!
SELECT DISTINCT p.id::{key_type} AS id, p.origin_kind, p.origin_id FROM {asked} AS k JOIN ({pairs}) AS p ON p.id = k.key;

-- name: present_pairs_one_by_one!
-- The key comes into the innermost SELECT, so that it groups the rows of one contact and not of all.
SELECT DISTINCT p.id::{key_type} AS id, p.origin_kind, p.origin_id
FROM {asked} AS k CROSS JOIN LATERAL (SELECT q.* FROM ({pairs}) AS q WHERE q.id = k.key OFFSET 0) AS p;

-- name: pairs_of_contacts!
SELECT q.id, q.origin_kind, q.origin_id FROM {contacts} AS q;

-- name: pairs_of_memberships!
SELECT q.id, m.origin_kind, m.origin_id FROM {contacts} AS q JOIN {memberships} AS m ON m.contact_id = q.id;

-- name: own_pairs!
SELECT r.own_id::{key_type}, r.own_kind, r.own_origin FROM decided_gone AS r WHERE r.own_holds AND r.own_id IS NOT NULL AND {many};

-- name: no_own_pairs!
SELECT NULL::{key_type}, NULL::text, NULL::integer WHERE false;

-- name: own_columns!
{id} AS own_id, {kind} AS own_kind, {origin} AS own_origin, {holds} AS own_holds;

-- name: possible_pairs!
-- {makes}: such a row can make the pair. {needs}: if it is not there, nothing else, or that the key is known, or that the
-- contact is not there at all.
SELECT {key} AS id, {kind} AS origin_kind, {origin} AS origin_id, {makes} AS makes, {needs} AS needs
FROM {changed} AS r {joins} WHERE {holds};

-- name: key_exists!
EXISTS (SELECT FROM {table} AS c WHERE ({column}) = {key});

-- name: table_before!
-- The table as it was before the statement.
SELECT {columns_t} FROM {table} AS t WHERE NOT EXISTS (SELECT FROM contactexport_new AS n WHERE {same_row})
UNION ALL SELECT {columns_o} FROM contactexport_old AS o;

-- name: table_before_insert!
SELECT {columns_t} FROM {table} AS t WHERE NOT EXISTS (SELECT FROM contactexport_new AS n WHERE {same_row});

-- name: table_before_delete!
SELECT {columns_t} FROM {table} AS t UNION ALL SELECT {columns_o} FROM contactexport_old AS o;

-- name: table_before_without_key!
SELECT {columns_t} FROM {rows_without_new} UNION ALL SELECT {columns_o} FROM contactexport_old AS o;

-- name: table_before_insert_without_key!
SELECT {columns_t} FROM {rows_without_new};

-- name: rows_without_new!
-- Without a key, equal rows are counted, as written: not every type has an equality. Columns that have one come first, so
-- that rows of one contact can be looked for.
(
    SELECT {columns_t}, row_number() OVER (PARTITION BY {group_t}) AS contactexport_place FROM {table} AS t
) AS t LEFT JOIN (
    SELECT ROW({columns_n})::text AS image, count(*) AS times FROM contactexport_new AS n GROUP BY 1
) AS n ON n.image = ROW({columns_t})::text WHERE t.contactexport_place > coalesce(n.times, 0);

-- name: table_truncated!
SELECT {columns_t} FROM {table} AS t WHERE t.tableoid <> $1;

-- name: names_changed_body!
-- The table that names origins: what it names is an origin. One that it names no more keeps its last name, since whoever
-- has left it is still to be exported.
BEGIN
    IF EXISTS (
        SELECT FROM ({named}) AS named (kind, id, name)
        WHERE NOT EXISTS (
            SELECT FROM {schema}.origin AS known
            WHERE known.kind = named.kind AND known.id = named.id AND known.name = named.name
        )
    ) THEN
        INSERT INTO {schema}.origin (kind, id, name) {named} ON CONFLICT (kind, id) DO UPDATE SET name = excluded.name;
    END IF;
    RETURN NULL;
END;

-- name: named_origins!
SELECT DISTINCT ON (n.{id}) {kind}, n.{id}::integer, coalesce(nullif(n.{name}::text, ''), {kind} || ' ' || n.{id}::text)
FROM {rows} AS n WHERE n.{id} BETWEEN -2147483648 AND 2147483647 ORDER BY n.{id};

-- name: rows_of!
SELECT {columns} FROM {rows};

-- name: except_all!
{some} EXCEPT ALL {others};

-- name: no_keys!
SELECT NULL::{key_type} AS key WHERE false;

-- name: rows_differ!
ROW({new})::record *<> ROW({old})::record;
