-- TRUNCATE also deletes what others have committed since the snapshot of a repeatable-read transaction, which cannot be
-- seen and logged: then the transaction fails, like one that updates such a row.
CREATE OR REPLACE FUNCTION {schema}.contact_truncate_check() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    seen pg_snapshot := pg_current_snapshot();
    other bigint := pg_snapshot_xmin(seen)::text::bigint;
BEGIN
    IF current_setting('transaction_isolation') NOT IN ('repeatable read', 'serializable') THEN
        RETURN;
    END IF;
    LOOP
        IF pg_xact_status(other::text::xid8) = 'committed' AND NOT pg_visible_in_snapshot(other::text::xid8, seen) THEN
            RAISE serialization_failure USING
                MESSAGE = 'could not serialize access: TRUNCATE may delete contacts that this transaction does not see',
                HINT = 'Retry the transaction.';
        END IF;
        other := other + 1;
    END LOOP;
EXCEPTION WHEN invalid_parameter_value THEN
    NULL;  -- this transaction has not begun: the one before was the last
END $$;
