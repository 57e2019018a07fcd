-- What the console shows of feeds.

-- name: windows_of_feeds
-- Of each of these feeds at most `most` of the newest runs that have not ended before `since`, oldest first: one row for a
-- feed, because a page shows thousands of runs. Times are seconds since 1970, which are read and reckoned with faster.
SELECT f.id AS feed_id, r.statuses, r.starts, r.ends, r.finished
FROM feed AS f CROSS JOIN LATERAL (
    SELECT array_agg(n.status) AS statuses, array_agg(n.start) AS starts, array_agg(n.ended) AS ends,
           array_agg(n.finished) AS finished
    FROM (
        SELECT m.status, CAST(extract(epoch FROM m.effective_until) AS float8) AS ended,
               CAST(extract(epoch FROM m.finished_at) AS float8) AS finished,
               CASE WHEN NOT m.settings ? 'type' THEN
                   CAST(extract(epoch FROM CAST(m.settings->>'start' AS timestamptz)) AS float8)
               END AS start
        FROM (
            SELECT e.id, e.status, e.feed_sequence, e.finished_at, e.effective_until, e.settings
            FROM export AS e WHERE e.feed_id = f.id AND e.finished_at IS NOT NULL
            ORDER BY e.feed_sequence DESC, e.id DESC LIMIT :most
        ) AS m
        WHERE m.finished_at >= :since
        ORDER BY m.feed_sequence, m.id
    ) AS n
) AS r
WHERE f.id = ANY(CAST(:feed_ids AS bigint[])) AND r.statuses IS NOT NULL;

-- name: late_events
-- When these feeds were late, by feed and time.
SELECT v.feed_id, v.happened_at
FROM feed_event AS v
WHERE v.feed_id = ANY(CAST(:feed_ids AS bigint[])) AND v.event = 'feed late' AND v.happened_at >= :since
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
SELECT id, feed_sequence AS sequence, manifest, file_name, coalesce(stored_as, file_name) AS stored_name,
       bytes, sha256, file_deleted_at IS NULL AND settings->>'distribution_method' = 'local' AS is_here
FROM export
WHERE feed_id = :feed_id AND status = 'done'
ORDER BY feed_sequence DESC, id DESC LIMIT :most;
