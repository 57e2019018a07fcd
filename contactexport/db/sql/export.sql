-- name: accept_export^
-- `waited` may be NULL: the same setting may have ended a moment ago. `most_unfinished` may be NULL: there is no limit.
SELECT * FROM export_accept_request(
    :settings, :setting_key, :ftp_secret, :suffix, :created_by, :team, :lock_wait, :waited, :most_unfinished,
    :request_id
);

-- name: get_export^
SELECT * FROM export WHERE id = :id;

-- name: running_export$
-- Of a setting: the one that is unfinished, else one that has ended while a request for the same was waiting.
SELECT id FROM (
    SELECT id, 1 AS choice FROM export
    WHERE setting_key = :setting_key AND team = :team AND status IN ('scheduled', 'in progress', 'ready')
    UNION ALL
    SELECT id, 2 FROM export
    WHERE setting_key = :setting_key AND team = :team AND finished_at > clock_timestamp() - interval '10 seconds'
) AS found
ORDER BY choice, id DESC LIMIT 1;

-- name: list_exports
-- `team`, `status` and `before` may be NULL: any. Those of a state other than `done` are found by indexes of their own, which
-- a query uses only if it says `nullif`.
SELECT * FROM export
WHERE (CAST(:team AS text) IS NULL OR team = :team)
  AND (CAST(:status AS text) IS NULL OR :status = 'done' AND status = 'done' OR :status <> 'done' AND nullif(status, 'done') = :status)
  AND (CAST(:before AS bigint) IS NULL OR id < :before)
ORDER BY id DESC LIMIT :limit;

-- name: claim_export^
-- Run with the advisory lock of the key held, which a retry may have changed. The attempt number is the fence of
-- every later write, together with the number of deliveries: a file that another process has just written is delivered
-- in the same attempt, and only the latter is raised from 0. After a retry it is 0 as well, but so is that of runs.
-- Since its turn was chosen, its file may have been written: then it is no longer the turn of this kind of work.
-- `knowing` tells the trigger export_claimed that this program knows every setting. The condition on it has no column, so
-- Postgres evaluates it before it looks for the export.
WITH knowing AS MATERIALIZED (SELECT set_config('contactexport.claims', 'all', true))
UPDATE export
SET attempt = attempt + CASE WHEN status = 'ready' AND delivery_attempts = 0 AND run_attempts > 0 THEN 0 ELSE 1 END,
    claimed_at = clock_timestamp(),
    run_attempts = run_attempts + CASE WHEN status = 'ready' THEN 0 ELSE 1 END,
    delivery_attempts = delivery_attempts + CASE WHEN status = 'ready' THEN 1 ELSE 0 END,
    status = CASE WHEN status = 'ready' THEN 'ready' ELSE 'in progress' END,
    started_at = coalesce(started_at, clock_timestamp())
WHERE id = :id AND setting_key = :setting_key AND due_at <= clock_timestamp()
  AND coalesce((status = 'ready' AND settings->>'distribution_method' <> 'local') = CAST(:deliveries AS boolean), true)
  AND (SELECT count(*) FROM knowing) = 1
RETURNING *;

-- name: note_expected_rows!
UPDATE export
SET rows_expected = :rows_expected, rows_written = 0, rows_begun_at = clock_timestamp(), rows_written_at = clock_timestamp()
WHERE id = :id AND attempt = :attempt AND status = 'in progress';

-- name: note_written_rows!
-- For whoever watches. No index has these columns, so it costs one small write.
UPDATE export SET rows_written = :rows_written, rows_written_at = clock_timestamp()
WHERE id = :id AND attempt = :attempt AND status = 'in progress';

-- name: mark_ready^
-- A delivery that follows at once in the same attempt is its first: then `delivery_attempts` is 1, else 0.
WITH marked AS (
    INSERT INTO export_row_mark (export_id, marks)
    SELECT id, :marks FROM export WHERE id = :id AND attempt = :attempt AND status = 'in progress'
    ON CONFLICT (export_id) DO UPDATE SET marks = excluded.marks
)
UPDATE export
SET status = 'ready', rows = :rows, rows_expected = :rows, bytes = :bytes, sha256 = :sha256,
    effective_until = :effective_until, complete_from = :complete_from, warnings = :warnings,
    stored_as = :stored_as, columns = :columns, removed = :removed, manifest = :manifest,
    ready_at = clock_timestamp(), due_at = clock_timestamp(), error = NULL,
    delivery_attempts = :delivery_attempts, permanent_failures = 0
WHERE id = :id AND attempt = :attempt AND status = 'in progress'
RETURNING *;

-- name: mark_done^
-- The cursor of a feed moves in the same statement. The feed is locked first, as by whatever else changes a feed and its
-- run: the condition on `locked` has no column, so Postgres evaluates it before it looks for the export.
WITH locked AS MATERIALIZED (
    SELECT f.id FROM feed AS f WHERE f.id = (SELECT e.feed_id FROM export AS e WHERE e.id = :id) FOR UPDATE
), done AS (
    UPDATE export
    SET status = 'done', finished_at = clock_timestamp(), due_at = NULL, ftp_secret = NULL, error = NULL,
        delivered = :delivered, manifest = coalesce(CAST(:manifest AS text), manifest),
        deliveries = export_deliveries(deliveries, attempt, :reply),
        notify_due_at = CASE WHEN settings->>'notification_url' IS NOT NULL THEN clock_timestamp() END
    WHERE id = :id AND attempt = :attempt AND delivery_attempts = :fence AND status = 'ready'
      AND (SELECT count(*) FROM locked) >= 0
    RETURNING *
), moved AS (
    UPDATE feed AS f
    SET cursor = d.effective_until, sequence = d.feed_sequence, columns = d.columns, reset = false,
        last_manifest_sha256 = encode(sha256(convert_to(d.manifest, 'UTF8')), 'hex'),
        late_at = f.next_late_at, late_told_at = NULL
    FROM done AS d
    WHERE f.id = d.feed_id AND f.sequence = d.feed_sequence - 1
)
SELECT * FROM done;

-- name: mark_error^
UPDATE export
SET status = 'error', finished_at = clock_timestamp(), due_at = NULL, ftp_secret = NULL, error = :error,
    deliveries = export_deliveries(deliveries, attempt, :reply),
    notify_due_at = CASE WHEN settings->>'notification_url' IS NOT NULL THEN clock_timestamp() END
WHERE id = :id AND attempt = :attempt AND delivery_attempts = :fence AND status IN ('scheduled', 'in progress', 'ready')
RETURNING *;

-- name: postpone_export^
-- An attempt that an outage ended does not count.
UPDATE export
SET due_at = clock_timestamp() + make_interval(secs => :seconds), error = :error,
    run_attempts = run_attempts - CASE WHEN status = 'in progress' AND NOT :counted THEN 1 ELSE 0 END
WHERE id = :id AND attempt = :attempt AND delivery_attempts = :fence AND status IN ('in progress', 'ready')
RETURNING *;

-- name: wait_for_writers^
-- Not an attempt either; since when it has been waiting outlives the worker.
UPDATE export
SET due_at = clock_timestamp() + make_interval(secs => :seconds), error = :error, run_attempts = run_attempts - 1,
    writers_since = coalesce(writers_since, clock_timestamp())
WHERE id = :id AND attempt = :attempt AND delivery_attempts = :fence AND status = 'in progress'
RETURNING *;

-- name: postpone_delivery^
UPDATE export
SET due_at = clock_timestamp() + make_interval(secs => :seconds), error = :reply,
    permanent_failures = permanent_failures + CASE WHEN :permanent THEN 1 ELSE 0 END,
    deliveries = export_deliveries(deliveries, attempt, :reply)
WHERE id = :id AND attempt = :attempt AND delivery_attempts = :fence AND status = 'ready'
RETURNING *;

-- name: forget_events!
-- A part at a time. The index has only the times of ranges of blocks, so a look that finds nothing reads next to nothing.
DELETE FROM export_event WHERE id IN (
    SELECT id FROM export_event WHERE happened_at < clock_timestamp() - make_interval(days => :days) LIMIT 10000
);

-- name: row_marks$
SELECT marks FROM export_row_mark WHERE export_id = :id;

-- name: note_file_deleted!
WITH unmarked AS (DELETE FROM export_row_mark WHERE export_id = :id)
UPDATE export SET file_deleted_at = clock_timestamp() WHERE id = :id AND file_deleted_at IS NULL;

-- name: expired
-- Locked until their files are gone: one that is tried again meanwhile would lose the file it is to deliver. Whoever cancels
-- or tries again one of them waits for all, so they are few. `left_out`: those whose files could not be deleted. Files of a
-- feed that somebody pulls stay until they are acknowledged. With clock_timestamp(), which may differ for each row, Postgres
-- would read all that have their files.
SELECT id, coalesce(stored_as, file_name) AS stored_name FROM export
WHERE due_at IS NULL AND file_deleted_at IS NULL AND id <> ALL (CAST(:left_out AS bigint[]))
  AND finished_at < statement_timestamp() - make_interval(secs => :retention)
  AND NOT (status = 'done' AND EXISTS (
      SELECT FROM feed AS f
      WHERE f.id = export.feed_id AND f.pulled_at IS NOT NULL AND f.acknowledged < export.feed_sequence
  ))
ORDER BY finished_at LIMIT :most
FOR UPDATE SKIP LOCKED;

-- name: files_kept$
-- By the size of the index that has only these.
SELECT coalesce((SELECT greatest(c.reltuples, 0) FROM pg_class AS c WHERE c.oid = to_regclass('export_file_kept')), 0);

-- name: keep_files
-- Of these exports: the attempt that may have a temporary file, and the name of the finished file if it is to be kept. One
-- that was delivered to another computer is left only by a process that died right after, and so is one of a run in error
-- that never became ready. Those that somebody holds are left out: who has just finished one still tidies up.
SELECT id, CASE WHEN status IN ('scheduled', 'in progress', 'ready') THEN attempt END AS attempt,
       CASE WHEN file_deleted_at IS NULL AND NOT (status = 'done' AND settings->>'distribution_method' <> 'local')
           AND NOT (status = 'error' AND ready_at IS NULL) THEN coalesce(stored_as, file_name) END AS kept
FROM export AS e
WHERE id = ANY (:ids) AND NOT EXISTS (
    SELECT FROM pg_locks AS l
    WHERE l.locktype = 'advisory' AND l.objsubid = 1 AND l.granted
      AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND (l.classid::bigint << 32) | l.objid::bigint = e.setting_key
);

-- name: has_attempt$
SELECT 1 FROM export
WHERE id = :id AND attempt = :attempt AND status IN ('scheduled', 'in progress', 'ready');

-- name: exports_in_turn
-- Due and held by nobody, whose turn it is first. An 'in progress' export that nobody holds has lost its worker.
-- Round robin over users: first the one with the fewest running, then the one who was served longest ago. Of one user
-- the smallest comes first, but before it what has waited for `patience` seconds. Nobody has more than `most_running`
-- running, nor does a host receive more. What an export will have written is guessed by its window and origins.
WITH held AS MATERIALIZED (
    SELECT DISTINCT (l.classid::bigint << 32) | l.objid::bigint AS key
    FROM pg_locks AS l
    WHERE l.locktype = 'advisory' AND l.objsubid = 1 AND l.granted
      AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
), candidate AS (
    SELECT e.id, e.setting_key, e.created_by, h.key IS NOT NULL AS runs,
           coalesce(e.settings->'ftp'->>'host', e.settings->'sftp'->>'host') AS host,
           CASE WHEN e.due_at < clock_timestamp() - make_interval(secs => :patience) THEN e.due_at END AS late,
           CASE
               WHEN :deliveries THEN e.bytes
               ELSE extract(
                   epoch FROM least(CAST(e.settings->>'end' AS timestamptz), clock_timestamp())
                       - CAST(e.settings->>'start' AS timestamptz)
               ) * CASE e.settings->>'origin' WHEN 'all' THEN 100 ELSE jsonb_array_length(e.settings->'origin_ids') END
           END AS size
    FROM export AS e LEFT JOIN held AS h ON h.key = e.setting_key
    WHERE e.finished_at IS NULL
      AND (e.status = 'ready' AND e.settings->>'distribution_method' <> 'local') = :deliveries
      AND (h.key IS NOT NULL OR e.due_at <= clock_timestamp())
), numbered AS (
    SELECT id, setting_key, created_by, runs, host,
           row_number() OVER (PARTITION BY created_by ORDER BY runs DESC, late NULLS LAST, size, id) AS of_user,
           row_number() OVER (PARTITION BY host ORDER BY runs DESC, late NULLS LAST, size, id) AS of_host
    FROM candidate
)
SELECT n.id, n.setting_key FROM numbered AS n
WHERE NOT n.runs AND n.of_user <= :most_running AND (n.of_host <= :most_running OR NOT :deliveries)
ORDER BY n.of_user, (SELECT max(e.claimed_at) FROM export AS e WHERE e.created_by = n.created_by) NULLS FIRST, n.id
LIMIT :most;

-- name: has_held_back$
-- A request that is being refused holds the lock of a new export for a moment.
SELECT EXISTS (
    SELECT FROM export AS e JOIN pg_locks AS l ON (l.classid::bigint << 32) | l.objid::bigint = e.setting_key
    WHERE e.finished_at IS NULL AND e.status = 'scheduled' AND e.due_at <= clock_timestamp()
      AND l.locktype = 'advisory' AND l.objsubid = 1 AND l.granted
      AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
);

-- name: retry_export^
-- A finished file is delivered again without a new query; without one, all starts anew. So do the limits of attempts
-- and of time. Somebody may have deleted the file since it was looked at.
UPDATE export
SET status = CASE WHEN ready_at IS NOT NULL AND :has_file AND file_deleted_at IS NULL THEN 'ready' ELSE 'scheduled' END,
    ready_at = CASE WHEN ready_at IS NOT NULL AND :has_file AND file_deleted_at IS NULL THEN clock_timestamp() END,
    due_at = statement_timestamp(), finished_at = NULL, error = NULL,
    writers_since = NULL, file_deleted_at = NULL, run_attempts = 0, delivery_attempts = 0, permanent_failures = 0,
    ftp_secret = :ftp_secret, notify_secret = :notify_secret, settings = :settings, setting_key = :setting_key,
    notify_due_at = NULL, notify_attempts = 0, notified_at = NULL, notify_error = NULL
WHERE id = :id AND status = 'error'
RETURNING *;

-- name: cancel_export^
-- The raised attempt fences off a worker that is still on it.
UPDATE export
SET status = 'error', error = 'cancelled', attempt = attempt + 1, finished_at = clock_timestamp(), due_at = NULL,
    ftp_secret = NULL,
    notify_due_at = CASE WHEN settings->>'notification_url' IS NOT NULL THEN clock_timestamp() END
WHERE id = :id AND status IN ('scheduled', 'in progress', 'ready')
RETURNING *;
