-- Logs created contacts.
CREATE OR REPLACE FUNCTION {schema}.contact_log_insert() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO {schema}.contact_change (contact_id, origin_kind, origin_id, changed_at, kind)
    SELECT n.id, n.origin_kind, n.origin_id, (SELECT {schema}.contact_change_time()), 'c' FROM new_contact AS n;
    RETURN NULL;
END $$;
