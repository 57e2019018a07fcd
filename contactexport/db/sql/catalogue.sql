-- name: version$
SELECT version FROM catalogue_version;

-- name: log_horizon^
SELECT max(complete_from) AS complete_from, max(removals_from) AS removals_from FROM contact_log_horizon;

-- name: list_origins
SELECT kind, id, name FROM origin ORDER BY kind, id;

-- name: list_fields
SELECT id, name, application_type, column_name, exportable, names FROM contact_field ORDER BY id;

-- name: list_choices
SELECT id, labels FROM contact_field_choice WHERE field_id = :field_id ORDER BY id;
