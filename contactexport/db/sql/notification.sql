-- name: claim_notification$
-- The next due time is written before anything is sent: whoever dies in between is followed by another attempt.
UPDATE export
SET notify_attempts = notify_attempts + 1,
    notify_due_at = clock_timestamp() + make_interval(
        secs => (CAST(:delays AS double precision[]))[least(notify_attempts + 1, cardinality(:delays))]
    )
WHERE id = :id AND notify_due_at <= clock_timestamp()
RETURNING id;

-- name: note_sent!
UPDATE export SET notify_due_at = NULL, notified_at = clock_timestamp(), notify_error = NULL, notify_secret = NULL
WHERE id = :id AND attempt = :attempt AND notify_attempts = :notify_attempts;

-- name: note_failed!
UPDATE export
SET notify_error = :error,
    notify_due_at = CASE WHEN clock_timestamp() < finished_at + make_interval(secs => :limit) THEN notify_due_at END,
    notify_secret = CASE WHEN clock_timestamp() < finished_at + make_interval(secs => :limit) THEN notify_secret END
WHERE id = :id AND attempt = :attempt AND notify_attempts = :notify_attempts;

-- name: due_notifications
-- Only a time that is the same for all rows ends the search in the index: most notifications may wait for a later attempt.
SELECT id FROM export WHERE notify_due_at <= statement_timestamp() ORDER BY notify_due_at LIMIT :most;
