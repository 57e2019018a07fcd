-- What a write needs, tried without writing anything that stays.

-- name: try_a_write!
-- No export has this id. A role without the right and a server that only reads refuse it all the same.
UPDATE export SET published_at = NULL WHERE id = 0;

-- name: little_memory^
-- For this transaction: more than this goes to a temporary file, on the disk of the database's tables.
SELECT set_config('work_mem', '64kB', true), set_config('temp_tablespaces', '', true);

-- name: try_the_disk$
-- Half a megabyte in such a file. A row that is written and taken back would often find room in a page that is there
-- already, and prove nothing.
WITH filled AS MATERIALIZED (SELECT repeat('x', 8000) AS block FROM generate_series(1, 64))
SELECT count(block) FROM filled;
