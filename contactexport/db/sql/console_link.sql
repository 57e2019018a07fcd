-- name: find_operator$
SELECT id FROM api_user WHERE name = :name AND operator AND revoked_at IS NULL;
