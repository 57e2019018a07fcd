-- Logs deleted contacts: one row for each origin, however many they are. Rows of an index would cost more than the deletion.
CREATE OR REPLACE FUNCTION {schema}.contact_log_delete() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO {schema}.contact_removal (origin_kind, origin_id, changed_at, kind, contact_ids)
    SELECT o.origin_kind, o.origin_id, (SELECT {schema}.contact_change_time()), 'd', array_agg(o.id)
    FROM old_contact AS o GROUP BY o.origin_kind, o.origin_id;
    RETURN NULL;
END $$;
