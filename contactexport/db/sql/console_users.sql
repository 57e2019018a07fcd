-- Sessions of the console, for the pages of users.

-- name: sessions
-- Those that are alive, newest first. `name` may be NULL: of all users.
SELECT encode(s.id_hash, 'hex') AS id, u.name, s.made_at, s.seen_at, s.expires_at, s.address, s.user_agent
FROM console_session AS s JOIN api_user AS u ON u.id = s.user_id
WHERE (CAST(:name AS text) IS NULL OR u.name = :name) AND s.expires_at > clock_timestamp()
  AND s.seen_at > clock_timestamp() - make_interval(secs => :idle_seconds)
ORDER BY s.seen_at DESC LIMIT :most;

-- name: end_session!
DELETE FROM console_session AS s USING api_user AS u
WHERE u.id = s.user_id AND u.name = :name AND encode(s.id_hash, 'hex') = :id;
