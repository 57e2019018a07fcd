-- The log tells creations from changes, and what the database does by itself depends on nobody's names.
-- A template: {schema} is where the log of changes stands, {schema_name} the same as a text, {read_sequence} its sequence.

-- The column is added at once, whatever the log holds. But it needs the table for itself, and whoever waits for that holds
-- up every writer of contacts.
SET LOCAL lock_timeout = '5s';
-- c: created, u: updated. NULL: not known, since the entry is older than this column, or its trigger does not say.
-- d (deleted) and m (moved) are free for what comes later.
ALTER TABLE {schema}.contact_change ADD COLUMN kind "char";
SET LOCAL lock_timeout TO DEFAULT;

-- Functions run with the rights of their owner, or of whoever runs the program. An operator or function that anybody has
-- made wins over one of Postgres if it fits the types better. So only Postgres' own are looked for, by the search path, and
-- all of ours bears its schema.
-- A column of contacts may have any name. So each is named with its table, and a whole row is written n.*, since n may be a
-- column.

CREATE OR REPLACE FUNCTION {schema}.catalogue_changed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE {schema}.catalogue_version AS v SET version = v.version + 1;
    RETURN NULL;
END $$;

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

-- The time of a change. It is asked for inside the INSERT, that is after its lock on contact_change: an export that has
-- waited for the holders of that lock has seen every change before its snapshot (see docs/decisions/changes.md). So that
-- this holds after the clock was set back, it is never before the transaction's start or the last reading. Only a reading
-- more than a day ahead counts for nothing: the clock was wrong then.
CREATE OR REPLACE FUNCTION {schema}.contact_change_time() RETURNS timestamptz
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    clock timestamptz := greatest(clock_timestamp(), now());
    last_read timestamptz :=
        'epoch'::timestamptz + pg_sequence_last_value({read_sequence}::regclass) * interval '1 us';
BEGIN
    RETURN CASE WHEN last_read > clock AND last_read < clock + interval '1 day' THEN last_read ELSE clock END;
END $$;

-- Where a window ends that is read now: changes that are made from here on get no time before that.
CREATE OR REPLACE FUNCTION {schema}.contact_change_window_end(wanted timestamptz) RETURNS timestamptz
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    clock timestamptz;
    microseconds bigint;
    last_read bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('contactexport window'), 0);  -- two at once could take the reading back
    clock := clock_timestamp();
    microseconds := ceil(extract(epoch FROM clock) * 1000000);
    last_read := coalesce(pg_sequence_last_value({read_sequence}::regclass), 0);
    IF microseconds > last_read OR last_read >= microseconds + 86400000000 THEN
        PERFORM setval({read_sequence}::regclass, microseconds);
    END IF;
    RETURN least(wanted, clock);
END $$;

CREATE OR REPLACE FUNCTION {schema}.contact_log_insert() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO {schema}.contact_change (contact_id, origin_kind, origin_id, changed_at, kind)
    SELECT n.id, n.origin_kind, n.origin_id, (SELECT {schema}.contact_change_time()), 'c' FROM new_contact AS n;
    RETURN NULL;
END $$;

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

-- Rows are compared as written (*<>): values that are only equal, such as 1.0 and 1.00, make another file. That is dear, so
-- of many rows it is first asked whether one column tells them all from what they were. A session keeps the plan of its
-- first update, and the best one for a single row compares each with each (enable_nestloop), which for many does not end.
-- Most updates are of one row, which needs neither and is tried first.
-- An id that no row had before is a new contact: its id was changed, and the contact with the old one is gone.
CREATE OR REPLACE FUNCTION {schema}.contact_log_update() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    nestloop text;
    told text;
    all_changed boolean := false;
BEGIN
    INSERT INTO {schema}.contact_change (contact_id, origin_kind, origin_id, changed_at, kind)
    SELECT n.id, n.origin_kind, n.origin_id, (SELECT {schema}.contact_change_time()),
           CASE WHEN n.id = o.id THEN 'u' ELSE 'c' END::"char"
    FROM new_contact AS n, old_contact AS o
    WHERE NOT EXISTS (SELECT FROM new_contact OFFSET 1) AND n.* *<> o.*;
    IF FOUND THEN
        RETURN NULL;
    END IF;
    nestloop := current_setting('enable_nestloop');
    PERFORM set_config('enable_nestloop', 'off', true);
    IF EXISTS (SELECT FROM new_contact OFFSET 100) THEN
        told := {schema}.contact_column_told(
            TG_RELID, (SELECT to_jsonb(o.*) FROM old_contact AS o LIMIT 1),
            (SELECT to_jsonb(n.*) FROM new_contact AS n LIMIT 1)
        );
        IF told IS NOT NULL THEN
            -- Most updates of many rows set a column to one value and leave the ids. Then no row has to be looked for by
            -- its id: that the ids are the same ones is told by the sum of their hashes.
            EXECUTE format(
                'SELECT (NOT EXISTS (SELECT FROM new_contact AS n WHERE n.%1$I IS DISTINCT FROM (%2$s))'
                ' AND NOT EXISTS (SELECT FROM old_contact AS o WHERE o.%1$I IS NOT DISTINCT FROM (%2$s))'
                ' OR NOT EXISTS (SELECT FROM new_contact AS n JOIN old_contact AS o ON o.id = n.id'
                ' WHERE n.%1$I IS NOT DISTINCT FROM o.%1$I))'
                ' AND (SELECT sum(hashint8extended(n.id, 0)) FROM new_contact AS n)'
                ' = (SELECT sum(hashint8extended(o.id, 0)) FROM old_contact AS o)',
                told, format('SELECT n.%I FROM new_contact AS n LIMIT 1', told)
            ) INTO all_changed;
        END IF;
    END IF;
    IF all_changed THEN
        INSERT INTO {schema}.contact_change (contact_id, origin_kind, origin_id, changed_at, kind)
        SELECT n.id, n.origin_kind, n.origin_id, (SELECT {schema}.contact_change_time()), 'u' FROM new_contact AS n;
    ELSE
        INSERT INTO {schema}.contact_change (contact_id, origin_kind, origin_id, changed_at, kind)
        SELECT n.id, n.origin_kind, n.origin_id, (SELECT {schema}.contact_change_time()),
               CASE WHEN o.id IS NULL THEN 'c' ELSE 'u' END::"char"
        FROM new_contact AS n LEFT JOIN old_contact AS o ON o.id = n.id
        WHERE o.id IS NULL OR n.* *<> o.*;
    END IF;
    PERFORM set_config('enable_nestloop', nestloop, true);
    RETURN NULL;
END $$;

-- The last 50 deliveries, with one more unless nothing was replied.
CREATE OR REPLACE FUNCTION {schema}.export_deliveries(deliveries jsonb, attempt integer, reply text) RETURNS jsonb
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE
        WHEN reply IS NULL THEN deliveries
        ELSE CASE WHEN jsonb_array_length(deliveries) < 50 THEN deliveries ELSE deliveries - 0 END
            || jsonb_build_object('attempt', attempt, 'at', clock_timestamp(), 'reply', reply)
    END
$$;
