-- Many contacts from few: the copies of a contact differ in id, e-mail address, loyalty number and times of change.

-- name: columns
-- Those of `contact` that a copy takes over as they are.
SELECT attname AS name FROM pg_attribute
WHERE attrelid = 'contact'::regclass AND attnum > 0 AND NOT attisdropped
  AND attname NOT IN ('id', 'email', 'loyalty_number', 'url')
ORDER BY attnum;

-- name: begin_copying#
ALTER TABLE contact DISABLE TRIGGER contact_inserted;
DROP INDEX IF EXISTS contact_email;

-- name: copy_contacts!
-- A template: {columns} are those above.
INSERT INTO contact (id, email, loyalty_number, url, {columns})
SELECT id + :shift, replace(email, id::text, (id + :shift)::text),
       CASE WHEN loyalty_number <> '' THEN 'L-' || lpad((id + :shift)::text, 9, '0') ELSE loyalty_number END,
       replace(url, 'id=' || id, 'id=' || id + :shift),
       {columns}
FROM contact WHERE id <= :originals AND id + :shift > :there AND id + :shift <= :contacts;

-- name: copy_changes!
-- In the order of time, so that one index page after the other is filled. Changes before `start` are not the sample's.
INSERT INTO contact_change (contact_id, origin_kind, origin_id, changed_at)
SELECT contact_id + shift, origin_kind, origin_id,
       least(changed_at + mod(hashint8(contact_id + shift) & 2147483647, 600000000) * interval '1 microsecond',
             date_trunc('day', now(), 'UTC')) AS changed_at
FROM contact_change, generate_series(:originals, :contacts - 1, :originals) AS shift
WHERE changed_at >= :start AND contact_id <= :originals
  AND contact_id + shift > :there AND contact_id + shift <= :contacts
ORDER BY changed_at;

-- name: end_copying#
ALTER TABLE contact ENABLE TRIGGER contact_inserted;
SELECT setval(pg_get_serial_sequence('contact', 'id'), (SELECT max(id) FROM contact));

-- name: index_email#
CREATE INDEX contact_email ON contact (email);

-- name: tidy#
VACUUM ANALYZE contact, contact_change;

-- name: nth_change$
-- When the last of so many contacts of the form changed for the first time since `start`.
SELECT first FROM (
    SELECT min(changed_at) AS first FROM contact_change
    WHERE origin_kind = 'form' AND origin_id = :form AND changed_at >= :start
    GROUP BY contact_id
) AS changed
ORDER BY first OFFSET :changed - 1 LIMIT 1;

-- name: is_complete$
SELECT EXISTS (
    SELECT FROM pg_database
    WHERE datname = :name AND shobj_description(oid, 'pg_database') = :mark
);

-- name: drop_database!
-- A template.
DROP DATABASE IF EXISTS {name} WITH (FORCE);

-- name: create_database!
-- A template.
CREATE DATABASE {name} TEMPLATE {template} ENCODING 'UTF8';

-- name: copy_files!
-- A template. Otherwise every page that is copied would be written to the write-ahead log, too.
CREATE DATABASE {name} TEMPLATE {template} ENCODING 'UTF8' STRATEGY file_copy;

-- name: mark_complete!
-- A template.
COMMENT ON DATABASE {name} IS {mark};

-- name: prepare_api#
-- The table of the bare route, and no exports or users.
TRUNCATE export, api_user, request_count RESTART IDENTITY CASCADE;
DROP TABLE IF EXISTS bare_request;
CREATE TABLE bare_request (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, body jsonb NOT NULL);

-- name: all_exports
SELECT id FROM export;

-- name: end_exports#
-- As if they had been cancelled: nobody works on them.
UPDATE export SET status = 'error', error = 'cancelled', due_at = NULL, finished_at = clock_timestamp()
WHERE status = 'scheduled';

-- name: change_set^
SELECT count(*) AS changes, max(contact_id) AS last FROM contact_change
WHERE changed_at >= :month AND changed_at < CAST(:month AS timestamptz) + interval '25 days';

-- name: last_change$
SELECT max(changed_at) FROM contact_change
WHERE changed_at >= :month AND changed_at < CAST(:month AS timestamptz) + interval '25 days' AND contact_id <= :contact;

-- name: forget_changes!
DELETE FROM contact_change
WHERE changed_at >= :month AND changed_at < CAST(:month AS timestamptz) + interval '25 days';

-- name: make_month$
SELECT contact_change_months(CAST(:month AS date), CAST(:month AS date));

-- name: change_contacts!
-- So many contacts, the first one and every so many further on, one after the other within 20 days.
INSERT INTO contact_change (contact_id, origin_kind, origin_id, changed_at)
SELECT c.id, c.origin_kind, c.origin_id, CAST(:month AS timestamptz) + number * (interval '20 days' / :changed)
FROM generate_series(0, :changed - 1) AS number
JOIN contact AS c ON c.id = CAST(:every AS bigint) * number + 1
ORDER BY number;

-- name: tidy_changes#
VACUUM ANALYZE contact_change;

-- name: forget_exports#
DELETE FROM export;

-- name: forget_installation#
DO $$ BEGIN
    IF to_regclass('installation') IS NOT NULL THEN
        UPDATE installation SET key_fingerprint = NULL, storage_marked = false;
    END IF;
END $$;

-- name: checkpoint#
CHECKPOINT;

-- name: vacuums$
SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'autovacuum worker';

-- name: touch_contacts!
UPDATE contact SET last_name = last_name || '.'
WHERE id IN (
    SELECT id FROM contact
    WHERE origin_kind = 'form' AND origin_id = :form AND last_name <> '' ORDER BY id LIMIT :changed
);

-- name: make_feeds_due!
UPDATE feed SET due_at = clock_timestamp(), cursor = :start;

-- name: unfinished_exports
SELECT id FROM export WHERE finished_at IS NULL ORDER BY id;
