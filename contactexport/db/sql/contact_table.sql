-- name: contact_table()^
SELECT
    relkind IN ('r', 'p') AS is_table,
    current_setting('transaction_read_only')::boolean AS is_read_only
FROM pg_class WHERE oid = to_regclass('contact');

-- name: count_roughly$
-- A view, and a table that was never analyzed, has no estimate: then it is the number at which counting stopped.
SELECT CASE WHEN counted > :most THEN greatest(counted, estimated) ELSE counted END
FROM (SELECT count(*) AS counted FROM (SELECT FROM contact LIMIT :most + 1) AS first_ones) AS c,
     (SELECT reltuples::bigint AS estimated FROM pg_class WHERE oid = to_regclass('contact')) AS e;
