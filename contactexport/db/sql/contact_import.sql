-- An import of contacts: COPY into a temporary table, check there, then one UPDATE and one INSERT.
-- Names in {braces} are filled in by contact_import_repository with psycopg2.sql; s is the staged line, c the contact.
-- Staged values are in value_1, value_2, …: a column of contacts may have any name, also one of those below. So may a table:
-- temporary ones come last in the search path, so they are written with pg_temp.

-- name: list_columns()
SELECT
    a.attname AS name,
    t.typname AS type,
    t.typcategory::text AS category,
    CASE WHEN t.typname IN ('varchar', 'bpchar') AND a.atttypmod > 4 THEN a.atttypmod - 4 END AS max_length,
    -- The type modifier of numeric(p, s) is p * 65536 + s + 4 (see numeric.c of PostgreSQL).
    CASE WHEN t.typname = 'numeric' AND a.atttypmod > 4
        THEN ((a.atttypmod - 4) >> 16) - ((a.atttypmod - 4) & 65535) END AS whole_digits,
    CASE WHEN t.typname = 'numeric' AND a.atttypmod > 4 THEN (a.atttypmod - 4) & 65535 ELSE 0 END AS scale,
    a.attnotnull AS required,
    a.attgenerated = '' AND a.attidentity <> 'a' AND a.attname NOT IN ('id', 'origin_kind', 'origin_id') AS writable
FROM pg_attribute AS a JOIN pg_type AS t ON t.oid = a.atttypid
WHERE a.attrelid = to_regclass('contact') AND a.attnum > 0 AND NOT a.attisdropped;

-- name: own_equality()
-- Columns whose type brings an operator = of its own, as those of extensions do, and the schema in which it stands: the
-- search path does not lead there.
SELECT a.attname AS name, n.nspname AS schema
FROM pg_attribute AS a JOIN pg_type AS t ON t.oid = a.atttypid
JOIN pg_opclass AS k ON k.opcdefault AND k.opcintype = CASE t.typtype WHEN 'd' THEN t.typbasetype ELSE t.oid END
JOIN pg_am AS m ON m.oid = k.opcmethod AND m.amname = 'btree'
JOIN pg_amop AS e ON e.amopfamily = k.opcfamily AND e.amopstrategy = 3
    AND e.amoplefttype = k.opcintype AND e.amoprighttype = k.opcintype
JOIN pg_operator AS o ON o.oid = e.amopopr JOIN pg_namespace AS n ON n.oid = o.oprnamespace
WHERE a.attrelid = to_regclass('contact') AND a.attnum > 0 AND NOT a.attisdropped AND n.nspname <> 'pg_catalog';

-- name: create_staging()!
CREATE TEMPORARY TABLE contact_import ON COMMIT DROP AS
SELECT NULL::bigint AS import_line, NULL::text AS import_problems, NULL::bytea AS import_record, {types}
FROM contact AS c WITH NO DATA;

-- name: copy_staging()!
COPY pg_temp.contact_import FROM STDIN (FORMAT csv);

-- name: mark_repeated_keys(label)!
UPDATE pg_temp.contact_import AS s
SET import_problems = concat_ws(
    E'\n', s.import_problems,
    'line ' || s.import_line || :label || 'the same key is in line ' || first.import_line || ' already'
)
FROM (
    SELECT {staged_key} AS import_key, min(s.import_line) AS import_line
    FROM pg_temp.contact_import AS s
    WHERE {staged_key} IS NOT NULL
    GROUP BY {staged_key} HAVING count(*) > 1
) AS first
WHERE {staged_key} {equal} first.import_key AND s.import_line > first.import_line;

-- name: wait_for_other_imports()
SELECT pg_advisory_xact_lock(to_regclass('contact')::oid::integer, 0);

-- name: match_contacts()!
CREATE TEMPORARY TABLE contact_import_match ON COMMIT DROP AS
SELECT s.import_line, min(c.id) AS contact_id, count(*) AS contacts
FROM pg_temp.contact_import AS s JOIN contact AS c ON {contact_key} {equal} {staged_key}
GROUP BY s.import_line;

-- name: mark_ambiguous_keys(label)!
UPDATE pg_temp.contact_import AS s
SET import_problems = concat_ws(
    E'\n', s.import_problems, 'line ' || s.import_line || :label || m.contacts || ' contacts have this key'
)
FROM pg_temp.contact_import_match AS m
WHERE m.import_line = s.import_line AND m.contacts > 1;

-- name: analyze_staging()!
ANALYZE pg_temp.contact_import;

-- name: analyze_matches()!
ANALYZE pg_temp.contact_import_match;

-- name: count_lines()^
SELECT
    count(*) AS lines,
    count(s.import_problems) AS rejected,
    count(m.import_line) FILTER (WHERE s.import_problems IS NULL) AS matched
FROM pg_temp.contact_import AS s LEFT JOIN pg_temp.contact_import_match AS m USING (import_line);

-- name: list_problems(limit)
SELECT import_problems FROM pg_temp.contact_import WHERE import_problems IS NOT NULL ORDER BY import_line LIMIT :limit;

-- name: rejected_records()
SELECT import_record FROM pg_temp.contact_import WHERE import_problems IS NOT NULL ORDER BY import_line;

-- name: update_contacts()!
UPDATE contact AS c
SET ({changed_columns}) = ROW ({changed_staged})
FROM pg_temp.contact_import AS s JOIN pg_temp.contact_import_match AS m USING (import_line)
WHERE c.id = m.contact_id AND s.import_problems IS NULL
  AND ROW ({compared_current}) IS DISTINCT FROM ROW ({compared_staged});

-- name: insert_contacts(origin_kind, origin_id)!
INSERT INTO contact (origin_kind, origin_id, {columns})
SELECT :origin_kind, :origin_id, {staged}
FROM pg_temp.contact_import AS s
WHERE s.import_problems IS NULL
  AND NOT EXISTS (SELECT FROM pg_temp.contact_import_match AS m WHERE m.import_line = s.import_line)
ORDER BY s.import_line;
