-- The last 50 deliveries, with one more unless nothing was replied.
CREATE OR REPLACE FUNCTION {schema}.export_deliveries(deliveries jsonb, attempt integer, reply text) RETURNS jsonb
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE
        WHEN reply IS NULL THEN deliveries
        ELSE CASE WHEN jsonb_array_length(deliveries) < 50 THEN deliveries ELSE deliveries - 0 END
            || jsonb_build_object('attempt', attempt, 'at', clock_timestamp(), 'reply', reply)
    END
$$;
