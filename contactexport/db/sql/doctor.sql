-- What `flask doctor` asks a database.

-- name: server^
-- A pooler does not know the server process when it greets: then it is another one than the connection was told.
SELECT current_setting('server_version') AS version, pg_backend_pid() AS process;

-- name: lacking_rights
-- Of the tables of the program that it must read, and write unless they are about contacts or the schema.
SELECT c.relname::text AS name, string_agg(r.name, ', ' ORDER BY r.position) AS rights
FROM pg_class AS c, (VALUES ('SELECT', 1), ('INSERT', 2), ('UPDATE', 3), ('DELETE', 4)) AS r (name, position)
WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p') AND c.relname = ANY (CAST(:names AS text[]))
  AND NOT has_table_privilege(c.oid, r.name) AND (r.position = 1 OR c.relname !~ '^(contact|origin|catalogue|adopted)')
GROUP BY c.relname ORDER BY c.relname;

-- name: queue^
-- Exports and deliveries that somebody works on, and those that have been due for some time.
WITH held AS MATERIALIZED (
    SELECT DISTINCT (l.classid::bigint << 32) | l.objid::bigint AS key
    FROM pg_locks AS l
    WHERE l.locktype = 'advisory' AND l.objsubid = 1 AND l.granted
      AND l.database = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())
)
SELECT count(h.key) AS running,
       count(*) FILTER (
           WHERE h.key IS NULL AND e.due_at < clock_timestamp() - make_interval(secs => :patience)
       ) AS overdue
FROM export AS e LEFT JOIN held AS h ON h.key = e.setting_key
WHERE e.finished_at IS NULL;
