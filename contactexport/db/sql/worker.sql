-- Workers that say that they live, and when the last sweep ended.

-- name: note_alive!
INSERT INTO export_worker AS w (host, process, queues, processes, version, pause)
VALUES (:host, :process, :queues, :processes, :version, :pause)
ON CONFLICT (host, process) DO UPDATE
SET queues = excluded.queues, processes = excluded.processes, version = excluded.version, pause = excluded.pause,
    seen_at = clock_timestamp(),
    started_at = CASE WHEN w.queues = excluded.queues THEN w.started_at ELSE clock_timestamp() END;

-- name: forget_dead!
DELETE FROM export_worker WHERE seen_at < clock_timestamp() - make_interval(secs => 3 * pause) - interval '1 day';

-- name: alive
-- Those that have missed less than three times to say so.
SELECT host, process, queues, processes, version, started_at, seen_at FROM export_worker
WHERE seen_at > clock_timestamp() - make_interval(secs => 3 * pause + 1)
ORDER BY host, process;

-- name: note_sweep!
INSERT INTO export_last_sweep (ended_at) VALUES (clock_timestamp())
ON CONFLICT (only_one) DO UPDATE SET ended_at = excluded.ended_at;

-- name: sweep_age$
-- In seconds. NULL: there was none yet.
SELECT extract(epoch FROM clock_timestamp() - ended_at)::double precision FROM export_last_sweep;
