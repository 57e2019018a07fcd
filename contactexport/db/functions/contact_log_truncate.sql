-- Logs all contacts as deleted, before they are gone. The table may have been renamed since its trigger was made.
CREATE OR REPLACE FUNCTION {schema}.contact_log_truncate() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM {schema}.contact_truncate_check();
    EXECUTE format(
        'INSERT INTO %I.contact_removal (origin_kind, origin_id, changed_at, kind, contact_ids)'
        ' SELECT o.origin_kind, o.origin_id, (SELECT %I.contact_change_time()), ''d'', array_agg(o.id)'
        ' FROM %s AS o GROUP BY o.origin_kind, o.origin_id', {schema_name}, {schema_name}, TG_RELID::regclass
    );
    RETURN NULL;
END $$;
