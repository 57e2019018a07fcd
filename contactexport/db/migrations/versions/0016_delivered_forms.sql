-- What a host got, if it is not the file itself but compressed or encrypted: name, bytes and SHA-256. NULL: the file.
-- A template: {schema} is where our tables stand.
-- A database of contacts only has no such table.
ALTER TABLE IF EXISTS {schema}.export ADD COLUMN delivered jsonb;
