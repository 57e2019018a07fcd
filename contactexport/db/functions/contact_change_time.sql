-- The time of a change. It is asked for inside the INSERT, that is after its lock on contact_change: an export that has
-- waited for the holders of that lock has seen every change before its snapshot (see docs/decisions/changes.md). So that
-- this holds after the clock was set back, it is never before the transaction's start or the last reading. Only a reading
-- more than a day ahead counts for nothing: the clock was wrong then.
CREATE OR REPLACE FUNCTION {schema}.contact_change_time() RETURNS timestamptz
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    clock timestamptz := greatest(clock_timestamp(), now());
    last_read timestamptz :=
        'epoch'::timestamptz + pg_sequence_last_value({read_sequence}::regclass) * interval '1 us';
BEGIN
    RETURN CASE WHEN last_read > clock AND last_read < clock + interval '1 day' THEN last_read ELSE clock END;
END $$;
