-- One row: what servers and workers compare their folder and their key with.
-- A template: {schema} is where the log of changes stands, {schema_name} the same as a text.
CREATE TABLE {schema}.installation (
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    key_fingerprint text,  -- of the key that secrets are encrypted with; NULL until a key was used
    storage_marked boolean NOT NULL DEFAULT false,  -- a folder bears the id: none is marked by itself any more
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row)
);
INSERT INTO {schema}.installation DEFAULT VALUES;
