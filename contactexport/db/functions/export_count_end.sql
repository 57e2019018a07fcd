-- Counts exports by what they were and how they ended, in the transaction that ends them or tries them again. Sessions
-- count in one of 16 rows, so that they seldom wait for each other.
CREATE OR REPLACE FUNCTION {schema}.export_count_end() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    leaves boolean := OLD.finished_at IS NOT NULL;
    one {schema}.export := CASE WHEN leaves THEN OLD ELSE NEW END;
    done boolean := NOT leaves AND NEW.status = 'done';
    took double precision := CASE WHEN done THEN extract(epoch FROM NEW.finished_at - NEW.created_at) ELSE 0 END;
    rows_sum bigint := CASE WHEN done THEN coalesce(NEW.rows, 0) ELSE 0 END;
    bytes_sum bigint := CASE WHEN done THEN coalesce(NEW.bytes, 0) ELSE 0 END;
    own_slot smallint := pg_backend_pid() % 16;
    bounds record;
    s integer;
    r integer;
    b integer;
BEGIN
    SELECT * INTO bounds FROM {schema}.export_bounds();
    SELECT 1 + count(*) INTO s FROM unnest(bounds.seconds) AS bound WHERE bound < took;
    SELECT 1 + count(*) INTO r FROM unnest(bounds.rows) AS bound WHERE bound < rows_sum;
    SELECT 1 + count(*) INTO b FROM unnest(bounds.bytes) AS bound WHERE bound < bytes_sum;
    LOOP
        UPDATE {schema}.export_total AS t
        SET ended = t.ended + CASE WHEN leaves THEN 0 ELSE 1 END,
            present = t.present + CASE WHEN leaves THEN -1 ELSE 1 END,
            seconds = t.seconds + took, rows = t.rows + rows_sum, bytes = t.bytes + bytes_sum,
            seconds_buckets[s] = t.seconds_buckets[s] + done::integer,
            rows_buckets[r] = t.rows_buckets[r] + done::integer,
            bytes_buckets[b] = t.bytes_buckets[b] + done::integer
        WHERE t.origin = one.settings ->> 'origin' AND t.method = one.settings ->> 'distribution_method'
          AND t.status = one.status AND t.slot = own_slot;
        EXIT WHEN FOUND;
        INSERT INTO {schema}.export_total (origin, method, status, slot, seconds_buckets, rows_buckets, bytes_buckets)
        VALUES (
            one.settings ->> 'origin', one.settings ->> 'distribution_method', one.status, own_slot,
            array_fill(0::bigint, ARRAY[cardinality(bounds.seconds) + 1]),
            array_fill(0::bigint, ARRAY[cardinality(bounds.rows) + 1]),
            array_fill(0::bigint, ARRAY[cardinality(bounds.bytes) + 1])
        ) ON CONFLICT DO NOTHING;
    END LOOP;
    RETURN NULL;
END $$;
