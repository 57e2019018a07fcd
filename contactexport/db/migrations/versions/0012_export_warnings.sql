-- What a user must know of a finished export, such as that changes were not logged: a list of texts. NULL: nothing.
-- A template: {schema} is where our tables stand.
-- A database of contacts only has no such table.
-- The column is added at once, but it needs the table for itself. Whoever waits for that holds up all requests and workers.
SET LOCAL lock_timeout = '5s';
ALTER TABLE IF EXISTS {schema}.export ADD COLUMN warnings jsonb;
SET LOCAL lock_timeout TO DEFAULT;
