-- Where a window ends that is read now: changes that are made from here on get no time before that.
CREATE OR REPLACE FUNCTION {schema}.contact_change_window_end(wanted timestamptz) RETURNS timestamptz
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    clock timestamptz;
    microseconds bigint;
    last_read bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('contactexport window'), 0);  -- two at once could take the reading back
    clock := clock_timestamp();
    microseconds := ceil(extract(epoch FROM clock) * 1000000);
    last_read := coalesce(pg_sequence_last_value({read_sequence}::regclass), 0);
    IF microseconds > last_read OR last_read >= microseconds + 86400000000 THEN
        PERFORM setval({read_sequence}::regclass, microseconds);
    END IF;
    RETURN least(wanted, clock);
END $$;
