-- name: contact_table()^
SELECT
    relkind IN ('r', 'p') AS is_table,
    current_setting('transaction_read_only')::boolean AS is_read_only
FROM pg_class WHERE oid = to_regclass('contact');
