-- Changes of the catalogue that commands make.

-- name: add_origin$
-- False if there is one with this id.
WITH added AS (INSERT INTO origin (kind, id, name) VALUES (:kind, :id, :name) ON CONFLICT DO NOTHING RETURNING id)
SELECT EXISTS (SELECT FROM added);

-- name: rename_origin$
WITH renamed AS (UPDATE origin SET name = :name WHERE (kind, id) = (:kind, :id) RETURNING id)
SELECT EXISTS (SELECT FROM renamed);

-- name: is_adopted$
-- True if `contact` is a view of another table.
SELECT relkind NOT IN ('r', 'p') FROM pg_class WHERE oid = to_regclass('contact');

-- name: contact_columns
SELECT attname::text AS name FROM pg_attribute
WHERE attrelid = to_regclass('contact') AND attnum > 0 AND NOT attisdropped;

-- name: add_column
-- A template.
ALTER TABLE contact ADD COLUMN {column} {type};

-- name: add_field!
INSERT INTO contact_field (id, name, application_type, column_name, exportable, names)
VALUES (:id, :name, :application_type, :column_name, :exportable, CAST(:names AS jsonb));

-- name: add_choice!
INSERT INTO contact_field_choice (field_id, id, labels) VALUES (:field_id, :id, CAST(:labels AS jsonb));

-- name: rename_field!
-- The name itself is the English one.
UPDATE contact_field
SET names = names || jsonb_build_object(CAST(:language AS text), CAST(:name AS text)),
    name = CASE WHEN :language = 'en' THEN :name ELSE name END
WHERE id = :id;

-- name: remove_field!
DELETE FROM contact_field WHERE id = :id;
