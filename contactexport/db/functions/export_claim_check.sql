-- During an upgrade workers of 0.1.0 run beside those of this version. They would claim exports with settings that they do
-- not know, write another file, or use up all attempts. To them such an export looks as if another worker had it.
CREATE OR REPLACE FUNCTION {schema}.export_claim_check() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
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
END $$;
