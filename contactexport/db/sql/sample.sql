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

-- name: origin_fields_follow$
SELECT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = to_regclass('contact') AND tgname = 'sample_origin_changed');

-- name: let_origin_fields_follow#
-- Contact source and contact form are columns here, but say where the contact comes from: they follow its origin.
CREATE OR REPLACE FUNCTION sample_origin_fields() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    NEW.contact_source := CASE WHEN NEW.origin_kind = 'api' AND NEW.origin_id <> 0 THEN NEW.origin_id END;
    NEW.contact_form := CASE WHEN NEW.origin_kind = 'form' THEN NEW.origin_id END;
    RETURN NEW;
END $$;
REVOKE EXECUTE ON FUNCTION sample_origin_fields() FROM PUBLIC;  -- nobody else may attach it
CREATE TRIGGER sample_origin_given BEFORE INSERT ON contact FOR EACH ROW
    WHEN (NEW.contact_source IS NULL AND NEW.contact_form IS NULL AND (NEW.origin_kind <> 'api' OR NEW.origin_id <> 0))
    EXECUTE FUNCTION sample_origin_fields();
CREATE TRIGGER sample_origin_changed BEFORE UPDATE OF origin_kind, origin_id ON contact FOR EACH ROW
    WHEN ((OLD.origin_kind, OLD.origin_id) IS DISTINCT FROM (NEW.origin_kind, NEW.origin_id))
    EXECUTE FUNCTION sample_origin_fields();

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
