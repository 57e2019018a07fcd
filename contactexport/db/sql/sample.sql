-- The sample catalogue. Values come as one JSON array, a record an element.

-- name: contact_table^
SELECT
    relkind = 'r' AS is_table,
    pg_has_role(relowner, 'USAGE') AS is_ours,
    current_setting('transaction_read_only')::boolean AS is_read_only
FROM pg_class WHERE oid = to_regclass('contact');

-- name: custom_column_exists$
SELECT EXISTS (
    SELECT FROM pg_attribute
    WHERE attrelid = to_regclass('contact') AND attname = 'loyalty_number' AND NOT attisdropped
);

-- name: add_custom_column!
ALTER TABLE contact ADD COLUMN IF NOT EXISTS loyalty_number text;

-- name: upsert_origins!
INSERT INTO origin (kind, id, name)
SELECT kind, id, name FROM jsonb_to_recordset(:records) AS r (kind text, id integer, name text)
ON CONFLICT (kind, id) DO UPDATE SET name = excluded.name;

-- name: upsert_fields!
INSERT INTO contact_field (id, name, application_type, column_name, exportable, names)
SELECT id, name, application_type, column_name, exportable, names
FROM jsonb_to_recordset(:records) AS r (
    id integer, name text, application_type text, column_name text, exportable boolean, names jsonb
)
ON CONFLICT (id) DO UPDATE SET
    name = excluded.name, application_type = excluded.application_type, column_name = excluded.column_name,
    exportable = excluded.exportable, names = excluded.names;

-- name: upsert_choices!
INSERT INTO contact_field_choice (field_id, id, labels)
SELECT field_id, c.id, c.labels
FROM jsonb_to_recordset(:records) AS r (field_ids jsonb, choices jsonb),
    LATERAL (SELECT value::integer AS field_id FROM jsonb_array_elements_text(r.field_ids)) AS f,
    LATERAL jsonb_to_recordset(r.choices) AS c (id integer, labels jsonb)
ON CONFLICT (field_id, id) DO UPDATE SET labels = excluded.labels;
