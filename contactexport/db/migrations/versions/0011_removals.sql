-- The log knows contacts that were deleted, or left their origin.
-- A template: {schema} is where our tables stand, {schema_name} the same as a text.

-- d: deleted, m: moved, away from this origin. It is a table beside the log of changes, so that reading those stays as fast
-- as it is. One row may have many contacts: that of a DELETE has them all.
CREATE TABLE {schema}.contact_removal (
    origin_kind text NOT NULL,
    origin_id integer NOT NULL,
    changed_at timestamptz NOT NULL,
    kind "char" NOT NULL CHECK (kind IN ('d', 'm')),
    contact_ids bigint[] NOT NULL
);
-- Compressing takes longer than writing.
ALTER TABLE {schema}.contact_removal ALTER COLUMN contact_ids SET STORAGE EXTERNAL;
-- One index for all questions, because it costs who deletes a single contact. A window has few rows of all origins.
CREATE INDEX contact_removal_by_time ON {schema}.contact_removal (changed_at, origin_id, origin_kind);

-- From when on removals are known. NULL: from the beginning, since there were no contacts yet. A default gives the row its
-- value, because an UPDATE would raise the version of the catalogue.
DO $$
BEGIN
    IF EXISTS (SELECT FROM {schema}.contact) THEN
        ALTER TABLE {schema}.contact_log_horizon ADD COLUMN removals_from timestamptz DEFAULT now();
        ALTER TABLE {schema}.contact_log_horizon ALTER COLUMN removals_from DROP DEFAULT;
    ELSE
        ALTER TABLE {schema}.contact_log_horizon ADD COLUMN removals_from timestamptz;
    END IF;
END $$;

CREATE FUNCTION {schema}.contact_log_delete() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO {schema}.contact_removal (origin_kind, origin_id, changed_at, kind, contact_ids)
    SELECT o.origin_kind, o.origin_id, (SELECT {schema}.contact_change_time()), 'd', array_agg(o.id)
    FROM old_contact AS o GROUP BY o.origin_kind, o.origin_id;
    RETURN NULL;
END $$;

CREATE FUNCTION {schema}.contact_truncate_check() RETURNS void
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

CREATE FUNCTION {schema}.contact_log_truncate() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    EXECUTE format(
        'INSERT INTO %I.contact_removal (origin_kind, origin_id, changed_at, kind, contact_ids)'
        ' SELECT o.origin_kind, o.origin_id, (SELECT %I.contact_change_time()), ''d'', array_agg(o.id)'
        ' FROM %s AS o GROUP BY o.origin_kind, o.origin_id', {schema_name}, {schema_name}, TG_RELID::regclass
    );
    RETURN NULL;
END $$;
REVOKE EXECUTE ON FUNCTION {schema}.contact_log_delete(), {schema}.contact_log_truncate(),
    {schema}.contact_truncate_check() FROM PUBLIC;

-- A view in the place of `contact` has no triggers. Those of the table below it, if it was ours, are found by their function.
-- A trigger needs the table without writers. Whoever waits for that holds up all who come after.
SET LOCAL lock_timeout = '5s';
DO $$
DECLARE
    logged oid;
BEGIN
    FOR logged IN
        SELECT g.tgrelid FROM pg_catalog.pg_trigger AS g JOIN pg_catalog.pg_proc AS p ON p.oid = g.tgfoid
        WHERE p.proname = 'contact_log_insert' AND p.pronamespace = pg_catalog.to_regnamespace(pg_catalog.quote_ident({schema_name}))
          AND g.tgname = 'contact_inserted'
    LOOP
        EXECUTE format(
            'CREATE TRIGGER contact_deleted AFTER DELETE ON %s REFERENCING OLD TABLE AS old_contact'
            ' FOR EACH STATEMENT EXECUTE FUNCTION %I.contact_log_delete()', logged::pg_catalog.regclass, {schema_name}
        );
        EXECUTE format(
            'CREATE TRIGGER contact_truncated BEFORE TRUNCATE ON %s'
            ' FOR EACH STATEMENT EXECUTE FUNCTION %I.contact_log_truncate()', logged::pg_catalog.regclass, {schema_name}
        );
    END LOOP;
END $$;
SET LOCAL lock_timeout TO DEFAULT;
