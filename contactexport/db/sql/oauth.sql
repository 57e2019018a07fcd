-- name: find_client^
-- The active user behind a client id.
SELECT id, client_id, client_secret_hash, name, team, operator, viewer, compatible, requests_per_minute, exports_per_user
FROM api_user
WHERE client_id = :client_id AND revoked_at IS NULL;

-- name: find_access_token_user^
-- The active user of an access token that has not expired by the clock that all processes share.
SELECT u.name, u.team, u.operator, u.viewer, u.compatible, u.requests_per_minute, u.exports_per_user,
       (SELECT version FROM catalogue_version) AS catalogue_version
FROM access_token AS t
JOIN api_user AS u ON u.id = t.user_id
WHERE t.token_hash = :token_hash AND t.expires_at > clock_timestamp() AND u.revoked_at IS NULL;

-- name: add_access_token!
-- Affects no row when the secret was replaced or revoked meanwhile. FOR SHARE waits for a transaction that is just doing
-- so. Without it this token could outlive the deletion of the user's tokens.
INSERT INTO access_token (token_hash, user_id, expires_at)
SELECT :token_hash, id, clock_timestamp() + make_interval(secs => :seconds)
FROM api_user
WHERE id = :user_id AND client_secret_hash = :client_secret_hash AND revoked_at IS NULL
FOR SHARE;

-- name: delete_access_token!
DELETE FROM access_token WHERE token_hash = :token_hash AND user_id = :user_id;

-- name: delete_access_tokens!
-- Runs after the statement that replaces or revokes the secret, and in its transaction (see add_access_token).
DELETE FROM access_token WHERE user_id = (SELECT id FROM api_user WHERE name = :name);

-- name: forget_expired_tokens!
DELETE FROM access_token WHERE expires_at <= clock_timestamp();
