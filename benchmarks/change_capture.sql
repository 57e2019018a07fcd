-- Changes of contacts as programs make them, and what logging them leaves behind.

-- name: update_many!
UPDATE contact SET fax = :value WHERE id <= :contacts;

-- name: update_one!
UPDATE contact SET fax = :value WHERE id = :id;

-- name: insert_one!
INSERT INTO contact (origin_kind, origin_id, email) VALUES ('form', 123, :value);

-- name: delete_many!
DELETE FROM contact WHERE id <= :contacts;

-- name: delete_one!
DELETE FROM contact WHERE id = :id;

-- name: save_contacts#
CREATE TABLE saved_contact AS TABLE contact;

-- name: restore!
INSERT INTO contact SELECT * FROM saved_contact ON CONFLICT DO NOTHING;

-- name: forget_inserted!
DELETE FROM contact WHERE starts_with(email, 'capture');

-- name: trigger_off#
ALTER TABLE contact DISABLE TRIGGER USER;

-- name: trigger_on#
ALTER TABLE contact ENABLE TRIGGER USER;

-- name: this_month$
SELECT 'contact_change_' || to_char(now() AT TIME ZONE 'UTC', 'YYYY_MM');

-- name: empty!
-- A template.
TRUNCATE {partition};

-- name: tidy!
-- A template.
VACUUM contact, {partition};

-- name: changes$
SELECT (SELECT count(*) FROM contact_change WHERE changed_at >= :since)
    + (SELECT coalesce(sum(cardinality(contact_ids)), 0) FROM contact_removal WHERE changed_at >= :since);

-- name: clock$
SELECT clock_timestamp();

-- name: log_size^
SELECT pg_relation_size(to_regclass(:partition)) AS rows, pg_indexes_size(to_regclass(:partition)) AS indexes;

-- name: delete_month!
DELETE FROM contact_change WHERE changed_at >= :start AND changed_at < :end;

-- name: months
SELECT relid::regclass::text AS name FROM pg_partition_tree('contact_change') WHERE isleaf;

-- name: plan_of_window
EXPLAIN SELECT contact_id, max(changed_at) FROM contact_change
WHERE origin_kind = 'form' AND origin_id = 123 AND changed_at >= :start AND changed_at < :end
GROUP BY contact_id;
