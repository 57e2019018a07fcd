-- Feeds: standing exports with a cursor and a sequence.
-- A template: {schema} is where our tables stand, {schema_name} the same as a text.

-- A database of contacts only has no exports, so it has no feeds either.
DO $$
BEGIN
    IF pg_catalog.to_regclass(pg_catalog.quote_ident({schema_name}) || '.export') IS NULL THEN
        RETURN;
    END IF;

    CREATE TABLE {schema}.feed (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        name text NOT NULL,
        team text NOT NULL,
        created_by text NOT NULL,
        created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        settings jsonb NOT NULL,  -- of its exports, without window and type
        ftp_secret bytea,
        notify_secret bytea,
        -- Of the last delivered file. `cursor`: where the next window starts. NULL: the next run exports every contact.
        cursor timestamptz,
        sequence bigint NOT NULL DEFAULT 0,
        columns jsonb,  -- [[id or null, name], ...]
        last_manifest_sha256 text,
        -- Up to which sequence the one who pulls the files has them. NULL in `pulled_at`: nobody has ever pulled.
        acknowledged bigint NOT NULL DEFAULT 0,
        pulled_at timestamptz,
        -- Five-field cron. NULL: it runs only when somebody asks. `due_at`: when the next run starts, as reckoned at
        -- `planned_at`. `next_late_at`: the time after that in the schedule, when that run would be late. `late_at`: the same
        -- of the run that is owed now.
        schedule text,
        due_at timestamptz,
        planned_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        next_late_at timestamptz,
        late_at timestamptz,
        late_told_at timestamptz,
        -- `paused_by`: a user. NULL: it has paused itself, because of the `columns` or because the `log` is pruned.
        paused_at timestamptz,
        paused_by text,
        pause_kind text CHECK (pause_kind IN ('asked', 'columns', 'log')),
        pause_reason text,
        UNIQUE (team, name),
        CHECK ((paused_at IS NULL) = (pause_kind IS NULL) AND (paused_at IS NULL) = (pause_reason IS NULL))
    );

    -- What a feed has to tell by itself.
    CREATE TABLE {schema}.feed_event (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        feed_id bigint NOT NULL REFERENCES {schema}.feed ON DELETE CASCADE,
        event text NOT NULL CHECK (event IN ('feed late', 'feed paused')),
        reason text NOT NULL,
        happened_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        notify_due_at timestamptz,
        notify_attempts integer NOT NULL DEFAULT 0,
        notified_at timestamptz,
        notify_error text
    );
    CREATE INDEX feed_event_of_feed ON {schema}.feed_event (feed_id);
    CREATE INDEX feed_event_due ON {schema}.feed_event (notify_due_at) WHERE notify_due_at IS NOT NULL;

    -- A deleted feed leaves its exports, so there is no foreign key. `columns`, `removed` (rows) and
    -- `manifest` are those of the finished file.
    ALTER TABLE {schema}.export
        ADD COLUMN feed_id bigint,
        ADD COLUMN feed_name text,
        ADD COLUMN feed_sequence bigint,
        ADD COLUMN columns jsonb,
        ADD COLUMN removed bigint,
        ADD COLUMN manifest text;
    CREATE INDEX export_of_feed ON {schema}.export (feed_id, feed_sequence) WHERE feed_id IS NOT NULL;
    -- At most one run of a feed at a time.
    CREATE UNIQUE INDEX export_unfinished_feed ON {schema}.export (feed_id) WHERE feed_id IS NOT NULL AND finished_at IS NULL;

    -- Workers of 0.1.0 must not claim an export of which they do not know all settings.
    CREATE FUNCTION {schema}.export_claim_check() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $check$
    DECLARE
        ftp jsonb := CASE WHEN jsonb_typeof(NEW.settings -> 'ftp') = 'object' THEN NEW.settings -> 'ftp' ELSE '{{}}' END;
    BEGIN
        IF current_setting('contactexport.claims', true) = 'all' OR (
            NEW.feed_id IS NULL
            AND NEW.settings - ARRAY[
                'distribution_method', 'origin', 'origin_ids', 'start', 'end', 'contact_fields', 'delimiter', 'header',
                'language', 'ftp', 'notification_url', 'spreadsheet', 'type', 'may_end_early', 'may_be_incomplete'
            ] = '{{}}'
            AND ftp - ARRAY['host', 'port', 'username', 'folder', 'tls', 'temporary_name'] = '{{}}'
            AND NEW.settings ->> 'distribution_method' IN ('local', 'ftp')
            AND coalesce(NEW.settings ->> 'type', 'changes') IN ('changes', 'registrations')
        ) THEN
            RETURN NEW;
        END IF;
        RETURN NULL;
    END $check$;
    REVOKE EXECUTE ON FUNCTION {schema}.export_claim_check() FROM PUBLIC;
    CREATE TRIGGER export_claimed BEFORE UPDATE OF claimed_at ON {schema}.export
        FOR EACH ROW EXECUTE FUNCTION {schema}.export_claim_check();
END $$;
