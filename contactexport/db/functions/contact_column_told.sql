-- A column of plain type in which the first row of an update differs from the first one before it: a guess at one in which
-- all differ. NULL when there is none.
CREATE OR REPLACE FUNCTION {schema}.contact_column_told(relation oid, old_row jsonb, new_row jsonb) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT a.attname::text FROM pg_attribute AS a
    WHERE a.attrelid = relation AND a.attnum > 0 AND NOT a.attisdropped
      AND new_row -> a.attname::text <> old_row -> a.attname::text
      AND a.atttypid IN (
          'text'::regtype, 'varchar'::regtype, 'smallint'::regtype, 'integer'::regtype, 'bigint'::regtype,
          'numeric'::regtype, 'boolean'::regtype, 'date'::regtype, 'timestamp'::regtype, 'timestamptz'::regtype
      )
    ORDER BY a.attnum LIMIT 1
$$;
