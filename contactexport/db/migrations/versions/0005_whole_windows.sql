-- From when on the log of changes is complete; NULL as long as nothing was dropped from it. A log that is older than this
-- table began with two empty months. If its oldest month is empty, they are still there and nothing was dropped.
-- Otherwise it is not known what was dropped, so it counts from that month.
CREATE TABLE contact_log_horizon (complete_from timestamptz);
INSERT INTO contact_log_horizon SELECT (
    SELECT CASE
        WHEN pg_relation_size(c.oid) > 0 THEN to_date(right(c.relname, 7), 'YYYY_MM')::timestamp AT TIME ZONE 'UTC'
    END
    FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
    WHERE i.inhparent = 'contact_change'::regclass AND c.relname ~ '^contact_change_[0-9]{4}_[0-9]{2}$'
    ORDER BY c.relname LIMIT 1
);

-- Whoever keeps a copy of the catalogue keeps this with it.
CREATE TRIGGER contact_log_horizon_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON contact_log_horizon
    FOR EACH STATEMENT EXECUTE FUNCTION catalogue_changed();

ALTER TABLE export
    ADD COLUMN writers_since timestamptz,
    ADD COLUMN complete_from timestamptz;
