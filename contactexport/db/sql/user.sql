-- name: find_wsse_user^
-- An active user with a WSSE secret, and the time by the clock that all processes share.
SELECT id, name, team, operator, viewer, compatible, requests_per_minute, exports_per_user, wsse_secret, replay,
       clock_timestamp() AS now, (SELECT version FROM catalogue_version) AS catalogue_version
FROM api_user
WHERE name = :name AND wsse_secret IS NOT NULL AND revoked_at IS NULL;

-- name: find_token_user^
-- The active user of a token that has not expired by the clock that all processes share.
SELECT name, team, operator, viewer, compatible, requests_per_minute, exports_per_user,
       (SELECT version FROM catalogue_version) AS catalogue_version
FROM api_user
WHERE token_hash = :token_hash AND revoked_at IS NULL
  AND (token_expires_at IS NULL OR token_expires_at > clock_timestamp());

-- name: remember_nonce!
-- Affects no row when the same user has sent the same nonce and time before.
INSERT INTO wsse_nonce (user_id, nonce, created) VALUES (:user_id, :nonce, :created)
ON CONFLICT DO NOTHING;

-- name: forget_nonces!
DELETE FROM wsse_nonce WHERE seen_at < statement_timestamp() - make_interval(secs => :seconds);

-- name: add_user!
-- A revoked user's name may be used again; affects no row when the name belongs to an active one.
INSERT INTO api_user (
    name, wsse_secret, token_hash, token_expires_at, client_id, client_secret_hash,
    replay, team, operator, viewer, compatible, requests_per_minute, exports_per_user
)
VALUES (
    :name, :wsse_secret, :token_hash, :token_expires_at, :client_id, :client_secret_hash,
    :replay, :team, :operator, :viewer, :compatible, :requests_per_minute, :exports_per_user
)
ON CONFLICT (name) DO UPDATE SET
    wsse_secret = EXCLUDED.wsse_secret, token_hash = EXCLUDED.token_hash,
    token_expires_at = EXCLUDED.token_expires_at,
    client_id = EXCLUDED.client_id, client_secret_hash = EXCLUDED.client_secret_hash,
    replay = EXCLUDED.replay, team = EXCLUDED.team,
    operator = EXCLUDED.operator, viewer = EXCLUDED.viewer, compatible = EXCLUDED.compatible,
    requests_per_minute = EXCLUDED.requests_per_minute, exports_per_user = EXCLUDED.exports_per_user,
    created_at = clock_timestamp(), revoked_at = NULL
WHERE api_user.revoked_at IS NOT NULL;

-- name: lock_active_user^
SELECT name, wsse_secret IS NOT NULL AS has_wsse, token_hash IS NOT NULL AS has_token,
       client_id IS NOT NULL AS has_oauth, client_id, token_expires_at, replay,
       team, operator, viewer, compatible, requests_per_minute, exports_per_user, created_at, revoked_at
FROM api_user
WHERE name = :name AND revoked_at IS NULL
FOR UPDATE;

-- name: list_users
SELECT name, wsse_secret IS NOT NULL AS has_wsse, token_hash IS NOT NULL AS has_token,
       client_id IS NOT NULL AS has_oauth, client_id, token_expires_at, replay,
       team, operator, viewer, compatible, requests_per_minute, exports_per_user, created_at, revoked_at
FROM api_user
ORDER BY name;

-- name: page_of_users
-- By name, those after `after`. `name` and `after` may be NULL: any, and from the first on.
SELECT name, wsse_secret IS NOT NULL AS has_wsse, token_hash IS NOT NULL AS has_token,
       client_id IS NOT NULL AS has_oauth, client_id, token_expires_at, replay,
       team, operator, viewer, compatible, requests_per_minute, exports_per_user, created_at, revoked_at
FROM api_user
WHERE (CAST(:name AS text) IS NULL OR name = :name) AND (CAST(:after AS text) IS NULL OR name > :after)
ORDER BY name LIMIT :most;

-- name: set_wsse_secret!
UPDATE api_user SET wsse_secret = :wsse_secret WHERE name = :name;

-- name: set_token!
UPDATE api_user SET token_hash = :token_hash, token_expires_at = :token_expires_at WHERE name = :name;

-- name: set_client!
UPDATE api_user SET client_id = :client_id, client_secret_hash = :client_secret_hash WHERE name = :name;

-- name: set_rights!
UPDATE api_user
SET replay = :replay, team = :team, operator = :operator, viewer = :viewer, compatible = :compatible,
    requests_per_minute = :requests_per_minute, exports_per_user = :exports_per_user
WHERE name = :name;

-- name: set_token_expiry!
UPDATE api_user SET token_expires_at = :token_expires_at WHERE name = :name;

-- name: revoke_user!
-- The secrets go at once: nothing is left that a later mistake could bring back to life.
UPDATE api_user
SET revoked_at = clock_timestamp(), wsse_secret = NULL, token_hash = NULL, token_expires_at = NULL,
    client_id = NULL, client_secret_hash = NULL
WHERE name = :name AND revoked_at IS NULL;
