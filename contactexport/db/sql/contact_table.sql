-- name: contact_relation_kind()$
SELECT relkind::text FROM pg_class WHERE oid = to_regclass('contact');
