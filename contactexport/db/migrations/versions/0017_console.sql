-- The console: viewers, sessions, one-time links, and what the history of an export shows.
-- A template: {schema} is where our tables stand, {schema_name} the same as a text.

-- A database of contacts only has no users and no exports, so it has no console either.
DO $$
BEGIN
    IF pg_catalog.to_regclass(pg_catalog.quote_ident({schema_name}) || '.export') IS NULL THEN
        RETURN;
    END IF;

    -- A viewer sees the exports of every team like an operator, and changes nothing.
    -- Whoever waits for a table holds up all who come after.
    SET LOCAL lock_timeout = '5s';
    ALTER TABLE {schema}.api_user
        ADD COLUMN viewer boolean NOT NULL DEFAULT false,
        ADD CONSTRAINT api_user_one_role_check CHECK (NOT (operator AND viewer));
    SET LOCAL lock_timeout TO DEFAULT;

    -- Who is signed in. A session ends with the token that opened it. `token_hash` is NULL if a one-time link opened it.
    CREATE TABLE {schema}.console_session (
        id_hash bytea PRIMARY KEY,
        user_id bigint NOT NULL REFERENCES {schema}.api_user ON DELETE CASCADE,
        token_hash bytea,
        made_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        seen_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        expires_at timestamptz NOT NULL,
        address text,
        user_agent text
    );
    CREATE INDEX console_session_of_user ON {schema}.console_session (user_id);

    -- Links that sign in once.
    CREATE TABLE {schema}.console_link (
        token_hash bytea PRIMARY KEY,
        user_id bigint NOT NULL REFERENCES {schema}.api_user ON DELETE CASCADE,
        expires_at timestamptz NOT NULL
    );

    -- How far the running attempt has come. A worker writes it every few seconds.
    ALTER TABLE {schema}.export
        ADD COLUMN rows_written bigint,
        ADD COLUMN rows_begun_at timestamptz,
        ADD COLUMN rows_written_at timestamptz;

    -- The history of an export. Rows are deleted after a while, the export stays.
    CREATE TABLE {schema}.export_event (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        export_id bigint NOT NULL REFERENCES {schema}.export ON DELETE CASCADE,
        happened_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        attempt integer NOT NULL,
        event text NOT NULL,
        note text
    );
    CREATE INDEX export_event_of_export ON {schema}.export_event (export_id, id);
    CREATE INDEX export_event_by_time ON {schema}.export_event USING brin (happened_at);

    CREATE FUNCTION {schema}.export_event_note() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
    BEGIN
        INSERT INTO {schema}.export_event (export_id, attempt, event, note)
        SELECT NEW.id, NEW.attempt, found.event,
               CASE WHEN found.event IN ('failed', 'postponed') THEN left(NEW.error, 500) END
        FROM (
            SELECT CASE
                WHEN NEW.status = 'done' AND OLD.status <> 'done' THEN 'done'
                WHEN NEW.status = 'error' AND OLD.status <> 'error' THEN
                    CASE WHEN NEW.error = 'cancelled' THEN 'cancelled' ELSE 'failed' END
                WHEN NEW.status <> 'error' AND OLD.status = 'error' THEN 'retried'
                WHEN NEW.status = 'ready' AND OLD.status <> 'ready' THEN 'file ready'
                WHEN NEW.claimed_at IS DISTINCT FROM OLD.claimed_at THEN
                    CASE WHEN NEW.status = 'ready' THEN 'delivery begun' ELSE 'claimed' END
                WHEN NEW.due_at IS DISTINCT FROM OLD.due_at AND NEW.due_at IS NOT NULL THEN 'postponed'
            END AS event
        ) AS found
        WHERE found.event IS NOT NULL;
        RETURN NULL;
    END $function$;
    REVOKE EXECUTE ON FUNCTION {schema}.export_event_note() FROM PUBLIC;
    CREATE TRIGGER export_event_noted AFTER UPDATE OF status, attempt, claimed_at, due_at ON {schema}.export
        FOR EACH ROW EXECUTE FUNCTION {schema}.export_event_note();

    -- For the lists and the figures of the console. IF NOT EXISTS: on a large table they may be created CONCURRENTLY before
    -- the upgrade (docs/growth.md).
    CREATE INDEX IF NOT EXISTS export_by_status ON {schema}.export (status, id);
    CREATE INDEX IF NOT EXISTS export_by_user ON {schema}.export (created_by, id);
    CREATE INDEX IF NOT EXISTS export_ended ON {schema}.export (finished_at)
        INCLUDE (id, status, team, rows, created_at, started_at) WHERE finished_at IS NOT NULL;
END $$;
