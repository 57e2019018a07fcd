-- What the console shows of feeds.

-- name: windows_of_feeds
-- Of each feed at most `most` of the newest runs that have not ended before `since`. `team` may be NULL: all teams.
SELECT f.id AS feed_id, r.*
FROM feed AS f CROSS JOIN LATERAL (
    SELECT e.id, e.status, e.feed_sequence AS sequence, e.created_at, e.finished_at, e.effective_until,
           CASE WHEN e.settings ? 'type' THEN NULL ELSE CAST(e.settings->>'start' AS timestamptz) END AS start
    FROM export AS e WHERE e.feed_id = f.id
    ORDER BY e.feed_sequence DESC, e.id DESC LIMIT :most
) AS r
WHERE (CAST(:team AS text) IS NULL OR f.team = :team)
  AND (CAST(:feed_id AS bigint) IS NULL OR f.id = :feed_id)
  AND (r.finished_at IS NULL OR r.finished_at >= :since)
ORDER BY f.id, r.sequence, r.id;

-- name: late_events
-- When feeds were late, by feed and time.
SELECT v.feed_id, v.happened_at
FROM feed_event AS v JOIN feed AS f ON f.id = v.feed_id
WHERE v.event = 'feed late' AND v.happened_at >= :since
  AND (CAST(:team AS text) IS NULL OR f.team = :team) AND (CAST(:feed_id AS bigint) IS NULL OR f.id = :feed_id)
ORDER BY v.feed_id, v.happened_at;

-- name: events_of_feed
SELECT event, reason, happened_at, notified_at, notify_error
FROM feed_event WHERE feed_id = :feed_id ORDER BY id DESC LIMIT :most;

-- name: files_of_feed
-- Newest first, those after the run with this sequence and id. Both may be NULL: from the newest on.
SELECT id, status, feed_sequence AS sequence, created_at, finished_at, effective_until, rows, removed, bytes, error,
       file_deleted_at, manifest IS NOT NULL AS has_manifest,
       CASE WHEN settings ? 'type' THEN NULL ELSE CAST(settings->>'start' AS timestamptz) END AS start
FROM export
WHERE feed_id = :feed_id
  AND (CAST(:before_sequence AS bigint) IS NULL OR (feed_sequence, id) < (:before_sequence, :before_id))
ORDER BY feed_sequence DESC, id DESC LIMIT :most;

-- name: manifests_of_feed
-- Of delivered files, the newest `most`, newest first.
SELECT id, feed_sequence AS sequence, manifest, file_name, bytes, sha256,
       file_deleted_at IS NULL AND settings->>'distribution_method' = 'local' AS is_here
FROM export
WHERE feed_id = :feed_id AND status = 'done'
ORDER BY feed_sequence DESC, id DESC LIMIT :most;
