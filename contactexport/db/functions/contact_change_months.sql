-- Makes the monthly partitions from one month to another, both included. Existing ones are left alone.
-- A month for which rows already lie in the default partition stays there.
CREATE OR REPLACE FUNCTION {schema}.contact_change_months(first_month date, last_month date) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    month_start timestamptz;
    month_end timestamptz;
    partition_name text;
    made integer := 0;
BEGIN
    FOR month_start, month_end IN
        SELECT m AT TIME ZONE 'UTC', (m + interval '1 month') AT TIME ZONE 'UTC' FROM generate_series(
            date_trunc('month', first_month::timestamp), date_trunc('month', last_month::timestamp), interval '1 month'
        ) AS m
    LOOP
        partition_name := 'contact_change_' || to_char(month_start AT TIME ZONE 'UTC', 'YYYY_MM');
        CONTINUE WHEN to_regclass(format('%I.%I', {schema_name}, partition_name)) IS NOT NULL;
        CONTINUE WHEN EXISTS (
            SELECT FROM {schema}.contact_change_other AS o WHERE o.changed_at >= month_start AND o.changed_at < month_end
        );
        EXECUTE format(
            'CREATE TABLE %1$I.%2$I (LIKE %1$I.contact_change INCLUDING ALL)', {schema_name}, partition_name
        );
        EXECUTE format(
            'ALTER TABLE %1$I.contact_change ATTACH PARTITION %1$I.%2$I FOR VALUES FROM (%3$L) TO (%4$L)',
            {schema_name}, partition_name, month_start, month_end
        );
        made := made + 1;
    END LOOP;
    RETURN made;
END $$;
