-- What a user must know of a finished export, such as that changes were not logged: a list of texts. NULL: nothing.
-- A template: {schema} is where our tables stand.
-- A database of contacts only has no such table.
ALTER TABLE IF EXISTS {schema}.export ADD COLUMN warnings jsonb;
