-- Counts attempts to deliver a file or to notify somebody, in the transaction that stores their result. The arguments of
-- the trigger are what was attempted and whose it is. Of a delivery the latter is its method.
CREATE OR REPLACE FUNCTION {schema}.export_count_attempt() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    attempted text := TG_ARGV[0];
    whose text := TG_ARGV[1];
    good boolean;
BEGIN
    IF attempted = 'delivery' THEN
        whose := NEW.settings ->> 'distribution_method';
        good := NEW.status = 'done';
    ELSE
        good := NEW.notified_at IS NOT NULL;
    END IF;
    INSERT INTO {schema}.export_attempt_total AS t (kind, method, result, slot, attempts)
    VALUES (attempted, whose, CASE WHEN good THEN 'ok' ELSE 'failed' END, pg_backend_pid() % 16, 1)
    ON CONFLICT (kind, method, result, slot) DO UPDATE SET attempts = t.attempts + 1;
    RETURN NULL;
END $$;
