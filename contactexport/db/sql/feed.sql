-- name: add_feed$
INSERT INTO feed (
    name, team, created_by, settings, ftp_secret, notify_secret, cursor, schedule, due_at, next_late_at, late_at
) VALUES (
    :name, :team, :created_by, :settings, :ftp_secret, :notify_secret, :cursor, :schedule, :due_at, :next_late_at,
    :next_late_at
) RETURNING id;

-- name: find_feeds
-- `team` and `name` may be NULL: any.
SELECT f.*, (SELECT e.id FROM export AS e WHERE e.feed_id = f.id AND e.finished_at IS NULL) AS running_export
FROM feed AS f
WHERE (CAST(:team AS text) IS NULL OR f.team = :team) AND (CAST(:name AS text) IS NULL OR f.name = :name)
ORDER BY f.team, f.name;

-- name: page_of_feeds
-- Those that need somebody first: paused, late, then the others, by team and name. `after_rank` is that of the last feed of
-- the page before, with its team and name. It may be NULL: the first page. `team` may be NULL: any.
SELECT f.*, (SELECT e.id FROM export AS e WHERE e.feed_id = f.id AND e.finished_at IS NULL) AS running_export
FROM feed AS f
CROSS JOIN LATERAL (
    SELECT CASE WHEN f.paused_at IS NOT NULL THEN 0 WHEN f.late_told_at IS NOT NULL THEN 1 ELSE 2 END AS rank
) AS r
WHERE (CAST(:team AS text) IS NULL OR f.team = :team)
  AND (CAST(:after_rank AS int) IS NULL OR (r.rank, f.team, f.name) > (:after_rank, :after_team, :after_name))
ORDER BY r.rank, f.team, f.name LIMIT :most;

-- name: lock_feed$
-- What changes a feed and its run locks the feed first.
SELECT id FROM feed WHERE id = :id FOR UPDATE;

-- name: get_feed^
SELECT f.*, (SELECT e.id FROM export AS e WHERE e.feed_id = f.id AND e.finished_at IS NULL) AS running_export
FROM feed AS f WHERE f.id = :id;

-- name: lock_due_feeds
-- Due, not paused, and without an unfinished run. Those that another sweep starts now are skipped.
SELECT f.*, NULL AS running_export FROM feed AS f
WHERE f.due_at <= clock_timestamp() AND f.paused_at IS NULL
  AND NOT EXISTS (SELECT FROM export AS e WHERE e.feed_id = f.id AND e.finished_at IS NULL)
ORDER BY f.due_at, f.id LIMIT :most
FOR UPDATE OF f SKIP LOCKED;

-- name: lock_planned_in_future
-- When they were planned, the clock was wrong by more than the day for which due times stay.
SELECT f.*, NULL AS running_export FROM feed AS f
WHERE f.due_at IS NOT NULL AND f.planned_at > clock_timestamp() + interval '1 day'
ORDER BY f.id FOR UPDATE OF f SKIP LOCKED;

-- name: plan_feed!
UPDATE feed
SET due_at = :due_at, next_late_at = :next_late_at, late_at = :next_late_at, planned_at = clock_timestamp()
WHERE id = :id;

-- name: start_runs
-- For locked feeds: stores an export for each that has no unfinished one, and when the next is due. Secrets are copied,
-- because those of an export are erased when it ends.
WITH wanted AS MATERIALIZED (
    SELECT w.*, nextval('export_id_seq') AS export_id
    FROM jsonb_to_recordset(:runs) AS w (
        feed_id bigint, settings jsonb, setting_key bigint, suffix text, request_id text, due_at timestamptz,
        next_late_at timestamptz
    )
), started AS (
    INSERT INTO export (
        id, settings, setting_key, ftp_secret, notify_secret, file_name, created_by, team, due_at, published_at,
        feed_id, feed_name, feed_sequence, request_id
    ) OVERRIDING SYSTEM VALUE
    SELECT w.export_id, w.settings, w.setting_key, f.ftp_secret, f.notify_secret,
           coalesce(w.settings ->> 'type', 'changes') || '_' || w.export_id || '_' || (w.settings ->> 'language')
               || '-' || w.suffix || '.csv',
           f.created_by, f.team, statement_timestamp(), statement_timestamp(), f.id, f.name, f.sequence + 1,
           w.request_id
    FROM wanted AS w JOIN feed AS f ON f.id = w.feed_id
    ON CONFLICT DO NOTHING
    RETURNING id, feed_id
), scheduled AS (
    UPDATE feed AS f SET due_at = w.due_at, next_late_at = w.next_late_at, planned_at = clock_timestamp()
    FROM wanted AS w JOIN started AS s ON s.feed_id = w.feed_id
    WHERE f.id = w.feed_id
)
SELECT id, feed_id FROM started ORDER BY id;

-- name: change_feed!
UPDATE feed
SET settings = :settings, ftp_secret = :ftp_secret, notify_secret = :notify_secret, schedule = :schedule, due_at = :due_at,
    next_late_at = :next_late_at, late_at = :late_at, planned_at = clock_timestamp()
WHERE id = :id;

-- name: renew_ftp_secret!
-- Of a run that is under way to the same place. A delivery that waits is tried at once.
UPDATE export
SET ftp_secret = :ftp_secret, permanent_failures = 0,
    due_at = CASE WHEN status = 'ready' THEN least(due_at, clock_timestamp()) ELSE due_at END
WHERE feed_id = :id AND finished_at IS NULL AND settings ->> 'distribution_method' = :method
  AND settings -> :method = CAST(:target AS jsonb);

-- name: move_cursor!
UPDATE feed SET cursor = :cursor, reset = true WHERE id = :id;

-- name: delete_feed!
DELETE FROM feed WHERE id = :id;

-- name: pause_feed^
-- One that is paused already stays as it is.
UPDATE feed
SET paused_at = clock_timestamp(), paused_by = :paused_by, pause_kind = :kind, pause_reason = :reason
WHERE id = :id AND paused_at IS NULL
RETURNING id;

-- name: resume_feed!
-- It is late only an interval after that.
UPDATE feed
SET paused_at = NULL, paused_by = NULL, pause_kind = NULL, pause_reason = NULL, late_at = :late_at, late_told_at = NULL
WHERE id = :id;

-- name: note_event!
INSERT INTO feed_event (feed_id, event, reason, notify_due_at)
SELECT id, :event, :reason, CASE WHEN settings->>'notification_url' IS NOT NULL THEN clock_timestamp() END
FROM feed WHERE id = :id;

-- name: note_late
-- Once until the next file is delivered. The reason is that of the newest run.
WITH late AS (
    UPDATE feed SET late_told_at = clock_timestamp()
    WHERE late_at <= clock_timestamp() AND late_told_at IS NULL AND paused_at IS NULL
    RETURNING id, name, team, settings, late_at
)
INSERT INTO feed_event (feed_id, event, reason, notify_due_at)
SELECT l.id, 'feed late',
       coalesce((
           SELECT 'Export ' || e.id || ' is ' || e.status || coalesce(': ' || e.error, '') FROM export AS e
           WHERE e.feed_id = l.id ORDER BY e.feed_sequence DESC, e.id DESC LIMIT 1
       ), 'No run has started'),
       CASE WHEN l.settings->>'notification_url' IS NOT NULL THEN clock_timestamp() END
FROM late AS l
RETURNING feed_id, reason;

-- name: claim_event^
-- The next due time is written before anything is sent: whoever dies in between is followed by another attempt.
UPDATE feed_event AS v
SET notify_attempts = notify_attempts + 1,
    notify_due_at = clock_timestamp() + make_interval(
        secs => (CAST(:delays AS double precision[]))[least(notify_attempts + 1, cardinality(CAST(:delays AS double precision[])))]
    )
WHERE v.id = :id AND v.notify_due_at <= clock_timestamp()
RETURNING *;

-- name: note_event_sent!
UPDATE feed_event SET notify_due_at = NULL, notified_at = clock_timestamp(), notify_error = NULL
WHERE id = :id AND notify_attempts = :notify_attempts;

-- name: note_event_failed!
UPDATE feed_event
SET notify_error = :error,
    notify_due_at = CASE WHEN clock_timestamp() < happened_at + make_interval(secs => :limit) THEN notify_due_at END
WHERE id = :id AND notify_attempts = :notify_attempts;

-- name: due_events
SELECT id FROM feed_event WHERE notify_due_at <= statement_timestamp() ORDER BY notify_due_at LIMIT :most;

-- name: note_pulled!
UPDATE feed SET pulled_at = clock_timestamp() WHERE id = :id AND pulled_at IS NULL;

-- name: acknowledge!
UPDATE feed SET acknowledged = :sequence, pulled_at = coalesce(pulled_at, clock_timestamp())
WHERE id = :id AND acknowledged = :sequence - 1 AND sequence >= :sequence;

-- name: delivered_export$
-- The export that delivered this sequence. A failed one may have the same.
SELECT id FROM export WHERE feed_id = :id AND feed_sequence = :sequence AND status = 'done';

-- name: newest_export$
-- By sequence, which never falls, because that is how the index is ordered. Failed runs have the sequence of the next one.
SELECT id FROM export WHERE feed_id = :id ORDER BY feed_sequence DESC, id DESC LIMIT 1;
