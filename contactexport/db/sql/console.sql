-- What the console reads. It writes nothing here: its buttons call the same services as the API.

-- name: list_exports
-- Newest first. Filters without an index of their own look at `most_looked_at` exports, so a page never takes long.
-- `last_looked_at` is where the next page goes on.
WITH looked_at AS MATERIALIZED (
    SELECT e.id,
           (CAST(:origin AS text) IS NULL OR e.settings->>'origin' = :origin)
           AND (CAST(:origin_id AS text) IS NULL OR e.settings->'origin_ids' @> CAST(:origin_id AS jsonb))
           AND (CAST(:text AS text) IS NULL OR CAST(e.id AS text) = :text
                OR strpos(lower(concat_ws(
                    ' ', e.file_name, e.feed_name, e.created_by, e.settings->'ftp'->>'host', e.settings->'sftp'->>'host', e.error
                )), :text) > 0) AS fits
    FROM export AS e
    WHERE (CAST(:team AS text) IS NULL OR e.team = :team)
      AND (CAST(:status AS text) IS NULL OR e.status = :status)
      AND (NOT :unfinished OR e.finished_at IS NULL)
      AND (CAST(:created_by AS text) IS NULL OR e.created_by = :created_by)
      AND (CAST(:before AS bigint) IS NULL OR e.id < :before)
    ORDER BY e.id DESC LIMIT :most_looked_at
), found AS MATERIALIZED (
    SELECT id FROM looked_at WHERE fits ORDER BY id DESC LIMIT :most
)
SELECT e.id, e.created_at, e.status, e.error, e.created_by, e.team, e.feed_name, e.feed_sequence, e.rows,
       e.rows_expected, e.rows_written, e.rows_begun_at, e.rows_written_at, e.claimed_at, e.started_at, e.finished_at,
       e.due_at, e.bytes, e.attempt, e.settings->>'type' AS type, e.settings->>'origin' AS origin,
       e.settings->'origin_ids' AS origin_ids, e.settings->>'distribution_method' AS method,
       coalesce(e.settings->'ftp'->>'host', e.settings->'sftp'->>'host') AS host, b.last_looked_at, b.looked_at
FROM (SELECT min(id) AS last_looked_at, count(*) AS looked_at FROM looked_at) AS b
LEFT JOIN (found AS f JOIN export AS e ON e.id = f.id) ON true
ORDER BY e.id DESC;

-- name: list_newest
-- Newest first, with filters that have an index.
SELECT e.id, e.created_at, e.status, e.error, e.created_by, e.team, e.feed_name, e.feed_sequence, e.rows,
       e.rows_expected, e.rows_written, e.rows_begun_at, e.rows_written_at, e.claimed_at, e.started_at, e.finished_at,
       e.due_at, e.bytes, e.attempt, e.settings->>'type' AS type, e.settings->>'origin' AS origin,
       e.settings->'origin_ids' AS origin_ids, e.settings->>'distribution_method' AS method,
       coalesce(e.settings->'ftp'->>'host', e.settings->'sftp'->>'host') AS host
FROM export AS e
WHERE (CAST(:team AS text) IS NULL OR e.team = :team)
  AND (CAST(:status AS text) IS NULL OR e.status = :status)
  AND (NOT :unfinished OR e.finished_at IS NULL)
  AND (CAST(:created_by AS text) IS NULL OR e.created_by = :created_by)
  AND (CAST(:before AS bigint) IS NULL OR e.id < :before)
ORDER BY e.id DESC LIMIT :most;

-- name: progress^
SELECT status, rows, rows_expected, rows_written, rows_begun_at, rows_written_at, claimed_at, started_at, finished_at
FROM export WHERE id = :id;

-- name: history
SELECT happened_at, attempt, event, note FROM export_event WHERE export_id = :id ORDER BY id LIMIT 500;

-- name: needs_attention^
-- Counts for the line on top. A run that nobody holds and that is due for `patience` seconds is overdue.
WITH held AS MATERIALIZED (
    SELECT DISTINCT (l.classid::bigint << 32) | l.objid::bigint AS key
    FROM pg_locks AS l
    WHERE l.locktype = 'advisory' AND l.objsubid = 1 AND l.granted
      AND l.database = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())
), unfinished AS (
    SELECT e.due_at, e.error, h.key IS NOT NULL AS held
    FROM export AS e LEFT JOIN held AS h ON h.key = e.setting_key
    WHERE e.finished_at IS NULL AND (CAST(:team AS text) IS NULL OR e.team = :team)
)
SELECT count(*) AS unfinished,
       count(*) FILTER (WHERE held) AS running,
       count(*) FILTER (WHERE NOT held AND due_at < clock_timestamp() - make_interval(secs => :patience)) AS overdue,
       count(*) FILTER (WHERE NOT held AND error IS NOT NULL) AS put_off
FROM unfinished;

-- name: running
-- Unfinished exports, those that write first.
SELECT e.id, e.created_at, e.status, e.error, e.created_by, e.team, e.feed_name, e.feed_sequence, e.rows,
       e.rows_expected, e.rows_written, e.rows_begun_at, e.rows_written_at, e.claimed_at, e.started_at, e.finished_at,
       e.due_at, e.bytes, e.attempt, e.settings->>'type' AS type, e.settings->>'origin' AS origin,
       e.settings->'origin_ids' AS origin_ids, e.settings->>'distribution_method' AS method,
       coalesce(e.settings->'ftp'->>'host', e.settings->'sftp'->>'host') AS host
FROM export AS e
WHERE e.finished_at IS NULL AND (CAST(:team AS text) IS NULL OR e.team = :team)
ORDER BY e.status = 'in progress' DESC, e.status = 'ready' DESC, e.id LIMIT :most;

-- name: latest_errors
-- Of the last day, one row for each reason, the most recent first.
SELECT error, count(*) AS exports, max(id) AS id, max(finished_at) AS finished_at
FROM export
WHERE status = 'error' AND error <> 'cancelled' AND (CAST(:team AS text) IS NULL OR team = :team)
  AND finished_at > clock_timestamp() - interval '24 hours'
GROUP BY error ORDER BY finished_at DESC LIMIT :most;

-- name: feeds_in_trouble
SELECT name, team, pause_reason, paused_at, pause_kind, late_told_at FROM feed
WHERE (CAST(:team AS text) IS NULL OR team = :team) AND (pause_kind <> 'asked' OR late_told_at IS NOT NULL)
ORDER BY name LIMIT :most;

-- name: count_ended$
SELECT count(*) FROM export
WHERE finished_at >= :since AND (CAST(:team AS text) IS NULL OR team = :team);

-- name: ended_by_time
-- How exports ended in each part of the period. Half of the exports, and 19 of 20, waited and ran at most so long: of many
-- exports only each `one_of`-th is asked. Only the index `export_ended` is read.
SELECT p.begins_at, a.done, a.failed, a.rows, a.waited, a.ran
FROM unnest(CAST(:begins AS timestamptz[]), CAST(:ends AS timestamptz[])) AS p (begins_at, ends_at)
CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE e.status = 'done') AS done,
           count(*) FILTER (WHERE e.status = 'error') AS failed,
           coalesce(sum(e.rows) FILTER (WHERE e.status = 'done'), 0)::bigint AS rows,
           percentile_disc(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY extract(epoch FROM e.started_at - e.created_at)::float8)
               FILTER (WHERE mod(e.id, :one_of) = 0) AS waited,
           percentile_disc(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY extract(epoch FROM e.finished_at - e.started_at)::float8)
               FILTER (WHERE mod(e.id, :one_of) = 0 AND e.status = 'done') AS ran
    FROM export AS e
    WHERE e.finished_at >= p.begins_at AND e.finished_at < p.ends_at
      AND (CAST(:team AS text) IS NULL OR e.team = :team)
) AS a
ORDER BY p.begins_at;
