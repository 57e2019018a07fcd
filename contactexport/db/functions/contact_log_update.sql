-- Rows are compared as written (*<>): values that are only equal, such as 1.0 and 1.00, make another file. That is dear, so
-- of many rows it is first asked whether one column tells them all from what they were. A session keeps the plan of its
-- first update, and the best one for a single row compares each with each (enable_nestloop), which for many does not end.
-- Most updates are of one row, which needs neither and is tried first.
-- An id that no row had before is a new contact: its id was changed, and the contact with the old one is deleted.
-- A contact that left its origin is logged as moved, for those who ask for the old origin.
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
        INSERT INTO {schema}.contact_removal (origin_kind, origin_id, changed_at, kind, contact_ids)
        SELECT o.origin_kind, o.origin_id, (SELECT {schema}.contact_change_time()),
               CASE WHEN n.id = o.id THEN 'm' ELSE 'd' END::"char", ARRAY[o.id]
        FROM new_contact AS n, old_contact AS o
        WHERE n.id <> o.id OR n.origin_id <> o.origin_id OR n.origin_kind <> o.origin_kind;
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
            -- Most updates of many rows set a column to one value and leave ids and origins. Then no row has to be looked
            -- for by its id: that ids and origins are the same ones is told by the sums of their hashes.
            EXECUTE format(
                'SELECT (NOT EXISTS (SELECT FROM new_contact AS n WHERE n.%1$I IS DISTINCT FROM (%2$s))'
                ' AND NOT EXISTS (SELECT FROM old_contact AS o WHERE o.%1$I IS NOT DISTINCT FROM (%2$s))'
                ' OR NOT EXISTS (SELECT FROM new_contact AS n JOIN old_contact AS o ON o.id = n.id'
                ' WHERE n.%1$I IS NOT DISTINCT FROM o.%1$I))'
                ' AND (SELECT ROW(sum(hashint8extended(n.id, n.origin_id)), sum(hashtextextended(n.origin_kind, n.id)))'
                ' FROM new_contact AS n)'
                ' = (SELECT ROW(sum(hashint8extended(o.id, o.origin_id)), sum(hashtextextended(o.origin_kind, o.id)))'
                ' FROM old_contact AS o)',
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
        INSERT INTO {schema}.contact_removal (origin_kind, origin_id, changed_at, kind, contact_ids)
        SELECT o.origin_kind, o.origin_id, (SELECT {schema}.contact_change_time()),
               CASE WHEN n.id IS NULL THEN 'd' ELSE 'm' END::"char", array_agg(o.id)
        FROM old_contact AS o LEFT JOIN new_contact AS n ON n.id = o.id
        WHERE n.id IS NULL OR n.origin_id <> o.origin_id OR n.origin_kind <> o.origin_kind
        GROUP BY 1, 2, 4;
    END IF;
    PERFORM set_config('enable_nestloop', nestloop, true);
    RETURN NULL;
END $$;
