-- The keys that sign manifests.
-- A template: {schema} is where our tables stand, {schema_name} the same as a text.

-- A database of contacts only has no exports, so it signs nothing either.
DO $$
BEGIN
    IF pg_catalog.to_regclass(pg_catalog.quote_ident({schema_name}) || '.export') IS NULL THEN
        RETURN;
    END IF;

    -- Ed25519. The private key is encrypted, and erased when the key is retired.
    CREATE TABLE {schema}.manifest_key (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        public_key bytea NOT NULL UNIQUE,
        private_key bytea,
        made_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        retired_at timestamptz,
        CHECK ((private_key IS NULL) = (retired_at IS NOT NULL))
    );
    -- One key signs at a time.
    CREATE UNIQUE INDEX manifest_key_current ON {schema}.manifest_key ((true)) WHERE retired_at IS NULL;

    -- Somebody moved the cursor, so the next window need not begin where the one before ended. The next manifest tells it.
    ALTER TABLE {schema}.feed ADD COLUMN reset boolean NOT NULL DEFAULT false;
END $$;
