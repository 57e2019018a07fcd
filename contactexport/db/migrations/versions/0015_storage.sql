-- Names of finished files in the storage.
-- A template: {schema} is where our tables stand, {schema_name} the same as a text.

-- In an object store the attempt is in the name, so that a stale one replaces nothing. The row says which object counts.
-- NULL: the file has its own name, as in a folder. A database of contacts only has no exports.
ALTER TABLE IF EXISTS {schema}.export ADD COLUMN stored_as text;
