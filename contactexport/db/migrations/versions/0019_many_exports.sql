-- Indexes for years of exports.
-- A template: {schema} is where our tables stand, {schema_name} the same as a text.

-- A database of contacts only has no exports.
DO $$
BEGIN
    IF pg_catalog.to_regclass(pg_catalog.quote_ident({schema_name}) || '.export') IS NULL THEN
        RETURN;
    END IF;

    -- For lists of exports in one state. Almost all exports are done, so these have few entries, and those that are done are
    -- found soon without them. `nullif` is NULL for the latter. No other query is written like this, so none can use these
    -- indexes: a session that has cached a plan from a time when the table was empty would keep it.
    -- IF NOT EXISTS: on a large table they may be created CONCURRENTLY before the upgrade (docs/growth.md).
    CREATE INDEX IF NOT EXISTS export_not_done ON {schema}.export ((nullif(status, 'done')), id)
        WHERE nullif(status, 'done') IS NOT NULL;
    CREATE INDEX IF NOT EXISTS export_of_team_not_done ON {schema}.export (team, (nullif(status, 'done')), id)
        WHERE nullif(status, 'done') IS NOT NULL;

    -- Each export leaves several dead entries in the index of unfinished exports, which every worker reads through. By
    -- default VACUUM would wait until a fifth of all rows is dead, and leave out indexes while few pages have dead rows.
    ALTER TABLE {schema}.export SET (
        autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000, vacuum_index_cleanup = on
    );
END $$;
