-- name: current_key$
SELECT private_key FROM manifest_key WHERE retired_at IS NULL;

-- name: add_key!
-- Of two processes that make the first key at once, one does.
INSERT INTO manifest_key (public_key, private_key) VALUES (:public_key, :private_key) ON CONFLICT DO NOTHING;

-- name: lock_current_key$
-- Of two rotations at once, the second waits for the first.
SELECT id FROM manifest_key WHERE retired_at IS NULL FOR UPDATE;

-- name: retire_key!
UPDATE manifest_key SET retired_at = clock_timestamp(), private_key = NULL WHERE id = :id AND retired_at IS NULL;

-- name: public_keys
SELECT public_key, made_at, retired_at FROM manifest_key ORDER BY id;

-- name: keep_manifest$
-- Of two requests that sign it at once, the first decides.
UPDATE export SET manifest = coalesce(manifest, :manifest) WHERE id = :id RETURNING manifest;

-- name: place_in_feed^
-- Of a run of a feed: the time, the manifest before it, and the files of failed runs of the same sequence, which a receiver
-- may have.
SELECT clock_timestamp() AS made_at,
       (
           SELECT p.manifest FROM export AS p
           WHERE p.feed_id = e.feed_id AND p.feed_sequence = e.feed_sequence - 1 AND p.status = 'done'
       ) AS previous,
       coalesce((SELECT f.reset FROM feed AS f WHERE f.id = e.feed_id), false) AS reset,
       ARRAY(
           SELECT s.file_name FROM export AS s
           WHERE s.feed_id = e.feed_id AND s.feed_sequence = e.feed_sequence AND s.id <> e.id AND s.manifest IS NOT NULL
           ORDER BY s.id
       ) AS supersedes
FROM export AS e WHERE e.id = :id;
