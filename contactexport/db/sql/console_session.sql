-- name: add_session!
-- Affects no row if the user was revoked, or got another token, since the sign-in was checked.
INSERT INTO console_session (id_hash, user_id, token_hash, expires_at, address, user_agent)
SELECT :id_hash, id, token_hash, clock_timestamp() + make_interval(secs => :seconds), :address, :user_agent
FROM api_user
WHERE id = :user_id AND revoked_at IS NULL
  AND (CAST(:token_hash AS bytea) IS NULL OR token_hash = CAST(:token_hash AS bytea));

-- name: find_session^
-- Alive: used lately, and its user still has the token that it had at the sign-in.
SELECT u.name, u.team, u.operator, u.viewer, u.compatible, u.requests_per_minute, u.exports_per_user,
       (SELECT version FROM catalogue_version) AS catalogue_version,
       s.seen_at < clock_timestamp() - interval '1 minute' AS seen_long_ago
FROM console_session AS s JOIN api_user AS u ON u.id = s.user_id
WHERE s.id_hash = :id_hash AND s.expires_at > clock_timestamp()
  AND s.seen_at > clock_timestamp() - make_interval(secs => :idle_seconds)
  AND u.revoked_at IS NULL AND u.token_hash IS NOT DISTINCT FROM s.token_hash
  AND (u.token_expires_at IS NULL OR u.token_expires_at > clock_timestamp());

-- name: note_seen!
UPDATE console_session SET seen_at = clock_timestamp() WHERE id_hash = :id_hash;

-- name: delete_session!
DELETE FROM console_session WHERE id_hash = :id_hash;

-- name: delete_sessions!
-- Of a user, wherever they were opened, and the links that would open one.
WITH links AS (DELETE FROM console_link WHERE user_id = (SELECT id FROM api_user WHERE name = :name))
DELETE FROM console_session WHERE user_id = (SELECT id FROM api_user WHERE name = :name);

-- name: delete_links!
-- Of a user whose token was replaced, and in that transaction. A link that is being used just then opens a session of the
-- former token, which has ended.
DELETE FROM console_link WHERE user_id = (SELECT id FROM api_user WHERE name = :name);

-- name: forget_sessions!
WITH links AS (DELETE FROM console_link WHERE expires_at < clock_timestamp())
DELETE FROM console_session WHERE expires_at < clock_timestamp();

-- name: find_sign_in^
-- The active user whose unexpired token has this SHA-256.
SELECT id, name FROM api_user
WHERE token_hash = :token_hash AND revoked_at IS NULL
  AND (token_expires_at IS NULL OR token_expires_at > clock_timestamp());

-- name: add_link!
INSERT INTO console_link (token_hash, user_id, expires_at)
VALUES (:token_hash, :user_id, clock_timestamp() + make_interval(secs => :seconds));

-- name: use_link$
DELETE FROM console_link WHERE token_hash = :token_hash AND expires_at > clock_timestamp() RETURNING user_id;
