-- The upper ends of the buckets in which finished exports are counted. The last bucket of each has no end.
CREATE OR REPLACE FUNCTION {schema}.export_bounds(OUT seconds double precision[], OUT rows bigint[], OUT bytes bigint[])
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT '{{0.1,0.3,1,3,10,30,60,300,900,3600,14400,86400}}'::double precision[],
           '{{0,10,100,1000,10000,100000,1000000,10000000,100000000}}'::bigint[],
           '{{1000,10000,100000,1000000,10000000,100000000,1000000000,10000000000,100000000000}}'::bigint[]
$$;
