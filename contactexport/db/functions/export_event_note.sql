-- What has happened to an export, for its history. It is written in the same transaction, whoever changes the row, and with
-- the rights of its owner: a worker of an older version has no rights on the history yet.
CREATE OR REPLACE FUNCTION {schema}.export_event_note() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
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
END $$;
