-- The table that was adopted as contacts, and what is watched for it.
-- A template: {schema} is where the log of changes stands.
CREATE TABLE {schema}.adopted (
    plan jsonb NOT NULL,
    program_version text NOT NULL,
    joined boolean NOT NULL DEFAULT true,  -- contacts are made of several tables, and each logs what it sees of the others
    adopted_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    former_origins jsonb NOT NULL DEFAULT '[]',  -- [kind, id] of those that were there before
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row)
);

-- A table whose changes are logged. Its triggers are in the database under these names.
CREATE TABLE {schema}.adopted_table (
    schema_name text NOT NULL,
    table_name text NOT NULL,
    columns text[] NOT NULL,
    triggers text[] NOT NULL,
    PRIMARY KEY (schema_name, table_name)
);

-- A statement of which neither the changes nor the keys could be told, so that its contacts are not in the log. The
-- transaction of its writer carries it. `error` is a code of Postgres.
CREATE TABLE {schema}.adopted_failure (
    schema_name text NOT NULL,
    table_name text NOT NULL,
    event text NOT NULL,
    error text NOT NULL,
    failed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
