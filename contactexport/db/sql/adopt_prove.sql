-- Changes by which an adoption is proven: templates. {table} is the one that is changed, its row is r. Values are parts of
-- the templates as well, since names and texts of users may have a %.

-- name: column(schema, name, column)^
-- The type of a column and the column that it refers to.
SELECT t.typcategory::text AS category,
    ARRAY(SELECT quote_literal(e.enumlabel) FROM pg_enum AS e WHERE e.enumtypid = t.oid ORDER BY e.enumsortorder) AS enum_labels,
    f.referenced_schema, f.referenced_table, f.referenced_column
FROM pg_attribute AS a
JOIN pg_class AS c ON c.oid = a.attrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_type AS t ON t.oid = a.atttypid
LEFT JOIN LATERAL (
    SELECT fn.nspname AS referenced_schema, fc.relname AS referenced_table, fa.attname AS referenced_column
    FROM pg_constraint AS o JOIN pg_class AS fc ON fc.oid = o.confrelid JOIN pg_namespace AS fn ON fn.oid = fc.relnamespace
    JOIN pg_attribute AS fa ON fa.attrelid = o.confrelid AND fa.attnum = o.confkey[1]
    WHERE o.conrelid = c.oid AND o.contype = 'f' AND o.conkey[1] = a.attnum AND cardinality(o.conkey) = 1
    LIMIT 1
) AS f ON true
WHERE n.nspname = :schema AND c.relname = :name AND a.attname = :column;

-- name: rows_of_contacts!
-- Some rows that lead to contacts.
SELECT r.tableoid::bigint AS part, r.ctid::text AS place, p.id::text AS key
FROM {table} AS r {joins} JOIN ({pairs}) AS p ON p.id = ({key}) LIMIT {most};

-- name: contact!
SELECT p.origin_kind, p.origin_id, q::text AS contact
FROM ({pairs}) AS p JOIN {view} AS q ON q.id = p.id WHERE p.id = {key} ORDER BY 1, 2;

-- name: is_logged!
SELECT EXISTS (
    SELECT FROM {schema}.contact_change AS l WHERE l.changed_at >= {since} AND l.contact_id = {key}
) OR EXISTS (
    SELECT FROM {schema}.contact_removal AS l WHERE l.changed_at >= {since} AND {key} = ANY (l.contact_ids::text[])
) AS logged;

-- name: update_row!
UPDATE {table} AS r SET {assignment} WHERE r.tableoid = {part} AND r.ctid = {place}::tid;

-- name: delete_row!
DELETE FROM {table} AS r WHERE r.tableoid = {part} AND r.ctid = {place}::tid;

-- name: update_nothing!
-- Triggers for statements fire all the same.
UPDATE {table} AS r SET {column} = DEFAULT WHERE false;

-- name: insert_nothing!
INSERT INTO {table} ({column}) OVERRIDING SYSTEM VALUE SELECT r.{column} FROM {table} AS r WHERE false;

-- name: delete_nothing!
DELETE FROM {table} AS r WHERE false;

-- name: set_column!
{column} = {value};

-- name: value_of_another!
(SELECT o.{other} FROM {table} AS o WHERE o.{other} <> r.{column} LIMIT 1);

-- name: json_value!
coalesce(r.{column}, '{{}}')::jsonb || jsonb_build_object({key}, '7');

-- name: empty_json!
'{{}}';

-- name: random_uuid!
gen_random_uuid();

-- name: next_number!
r.{column} + 1;

-- name: former_number!
r.{column} - 1;

-- name: longer_text!
r.{column} || 'x';

-- name: one_letter!
CASE WHEN r.{column} = 'x' THEN 'y' ELSE 'x' END;

-- name: opposite!
NOT r.{column};

-- name: next_day!
r.{column} + interval '1 day';

-- name: longer_time!
r.{column} + interval '1 hour';

-- name: empty_array!
'{{}}';

-- name: failed$
-- The error of a trigger in this transaction that has logged what is possible instead of what has changed.
SELECT coalesce(current_setting('contactexport.failed', true), '');
