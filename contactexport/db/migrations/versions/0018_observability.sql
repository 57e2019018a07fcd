-- Figures that operators watch, and the ids of requests.
-- A template: {schema} is where our tables stand, {schema_name} the same as a text.

-- A database of contacts only has no exports.
DO $$
BEGIN
    IF pg_catalog.to_regclass(pg_catalog.quote_ident({schema_name}) || '.export') IS NULL THEN
        RETURN;
    END IF;

    -- The id of the request that asked for it. A worker logs it, and sends it with the notification.
    ALTER TABLE {schema}.export ADD COLUMN request_id text;

    -- Exports that have ended, by what they were: counted, so that nobody has to read millions of rows. `ended` only grows:
    -- an export in error that is tried again ends twice. `present` is how many have this status now. The histograms are
    -- of exports that are done. `slot`: sessions count in different rows.
    CREATE TABLE {schema}.export_total (
        origin text NOT NULL,
        method text NOT NULL,
        status text NOT NULL,
        slot smallint NOT NULL,
        ended bigint NOT NULL DEFAULT 0,
        present bigint NOT NULL DEFAULT 0,
        seconds double precision NOT NULL DEFAULT 0,
        rows bigint NOT NULL DEFAULT 0,
        bytes bigint NOT NULL DEFAULT 0,
        seconds_buckets bigint[] NOT NULL,
        rows_buckets bigint[] NOT NULL,
        bytes_buckets bigint[] NOT NULL,
        PRIMARY KEY (origin, method, status, slot)
    ) WITH (fillfactor = 50);

    -- Attempts to deliver a file or to notify somebody. They only grow.
    CREATE TABLE {schema}.export_attempt_total (
        kind text NOT NULL,
        method text NOT NULL,
        result text NOT NULL,
        slot smallint NOT NULL,
        attempts bigint NOT NULL,
        PRIMARY KEY (kind, method, result, slot)
    ) WITH (fillfactor = 50);

    -- Workers that were alive at `seen_at`. They say so every `pause` seconds.
    CREATE TABLE {schema}.export_worker (
        host text NOT NULL,
        process integer NOT NULL,
        queues text[] NOT NULL,
        processes integer NOT NULL,
        version text NOT NULL,
        pause double precision NOT NULL,
        started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        seen_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        PRIMARY KEY (host, process)
    ) WITH (fillfactor = 50);

    -- When the last sweep ended: one row.
    CREATE TABLE {schema}.export_last_sweep (
        only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
        ended_at timestamptz NOT NULL
    ) WITH (fillfactor = 50);

    -- What has ended before is not in the histograms.
    INSERT INTO {schema}.export_total (
        origin, method, status, slot, present, seconds_buckets, rows_buckets, bytes_buckets
    )
    SELECT e.settings ->> 'origin', e.settings ->> 'distribution_method', e.status, 0, count(*),
           array_fill(0::bigint, '{{13}}'), array_fill(0::bigint, '{{10}}'), array_fill(0::bigint, '{{10}}')
    FROM {schema}.export AS e WHERE e.finished_at IS NOT NULL
    GROUP BY 1, 2, 3;

    -- The upgrade replaces these at once by the functions of db/functions.
    CREATE FUNCTION {schema}.export_count_end() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS 'BEGIN RETURN NULL; END';
    CREATE FUNCTION {schema}.export_count_attempt() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS 'BEGIN RETURN NULL; END';

    CREATE FUNCTION {schema}.export_count_deleted() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS 'BEGIN RETURN NULL; END';

    REVOKE ALL ON FUNCTION {schema}.export_count_end(), {schema}.export_count_attempt(), {schema}.export_count_deleted()
        FROM PUBLIC;

    CREATE TRIGGER export_end_counted AFTER UPDATE OF status ON {schema}.export
        FOR EACH ROW WHEN ((OLD.finished_at IS NULL) <> (NEW.finished_at IS NULL))
        EXECUTE FUNCTION {schema}.export_count_end();
    CREATE TRIGGER export_deleted AFTER DELETE ON {schema}.export REFERENCING OLD TABLE AS old_export
        FOR EACH STATEMENT EXECUTE FUNCTION {schema}.export_count_deleted();
    -- The reply of a host is noted with each attempt. `local` has no attempts, the file is where it is to be.
    CREATE TRIGGER export_delivery_counted AFTER UPDATE OF deliveries ON {schema}.export
        FOR EACH ROW WHEN (OLD.deliveries <> NEW.deliveries)
        EXECUTE FUNCTION {schema}.export_count_attempt('delivery', '');
    -- The same error again changes no value. So what counts is that `notify_error` is written.
    CREATE TRIGGER export_notification_counted AFTER UPDATE OF notify_error ON {schema}.export
        FOR EACH ROW WHEN (NEW.notified_at IS NOT NULL OR NEW.notify_error IS NOT NULL)
        EXECUTE FUNCTION {schema}.export_count_attempt('notification', 'export');
    CREATE TRIGGER feed_notification_counted AFTER UPDATE OF notify_error ON {schema}.feed_event
        FOR EACH ROW WHEN (NEW.notified_at IS NOT NULL OR NEW.notify_error IS NOT NULL)
        EXECUTE FUNCTION {schema}.export_count_attempt('notification', 'feed');
END $$;
