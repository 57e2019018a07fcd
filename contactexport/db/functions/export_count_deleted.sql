-- Takes deleted exports off the number of those that are present: one row for each kind of a statement, however many it deletes.
-- In the same order in every session, so that two of them do not wait for each other.
CREATE OR REPLACE FUNCTION {schema}.export_count_deleted() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO {schema}.export_total AS t (
        origin, method, status, slot, present, seconds_buckets, rows_buckets, bytes_buckets
    )
    SELECT d.origin, d.method, d.status, pg_backend_pid() % 16, -d.present,
           array_fill(0::bigint, ARRAY[cardinality(b.seconds) + 1]), array_fill(0::bigint, ARRAY[cardinality(b.rows) + 1]),
           array_fill(0::bigint, ARRAY[cardinality(b.bytes) + 1])
    FROM (
        SELECT o.settings ->> 'origin' AS origin, o.settings ->> 'distribution_method' AS method, o.status, count(*) AS present
        FROM old_export AS o WHERE o.finished_at IS NOT NULL GROUP BY 1, 2, 3
    ) AS d, {schema}.export_bounds() AS b
    ORDER BY 1, 2, 3
    ON CONFLICT (origin, method, status, slot) DO UPDATE SET present = t.present + excluded.present;
    RETURN NULL;
END $$;
