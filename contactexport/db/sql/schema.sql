-- name: has_version_table$
SELECT to_regclass('alembic_version') IS NOT NULL;

-- name: current_version$
SELECT version_num FROM alembic_version;
