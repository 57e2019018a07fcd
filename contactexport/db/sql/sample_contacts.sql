-- Sample contacts are made in the database: every value is picked by a hash of the seed, the contact's id and a number
-- that stands for the column, so a contact's values depend on nothing else.

-- name: make_functions#
CREATE OR REPLACE FUNCTION pg_temp.pick(id bigint, salt bigint, choices integer) RETURNS integer
LANGUAGE sql IMMUTABLE AS 'SELECT ((hashint8extended(id, salt) & 9223372036854775807) % choices)::integer';

-- About one in 17 is NULL.
CREATE OR REPLACE FUNCTION pg_temp.pick_choice(id bigint, salt bigint, choices integer[]) RETURNS integer
LANGUAGE sql IMMUTABLE AS 'SELECT choices[1 + pg_temp.pick(id, salt, 17 * cardinality(choices)) / 16]';

-- Six of a hundred are NULL, two are empty.
CREATE OR REPLACE FUNCTION pg_temp.with_gaps(id bigint, salt bigint, value text) RETURNS text
LANGUAGE sql IMMUTABLE AS
'SELECT CASE WHEN pg_temp.pick(id, salt, 100) < 6 THEN NULL WHEN pg_temp.pick(id, salt, 100) < 8 THEN '''' ELSE value END';

CREATE OR REPLACE FUNCTION pg_temp.pick_moment(id bigint, salt bigint, first timestamptz, seconds bigint)
RETURNS timestamptz LANGUAGE sql STABLE AS
'SELECT first + (hashint8extended(id, salt) & 9223372036854775807) % (seconds * 1000000) * interval ''1 microsecond''';

-- Nine of ten contacts came in 2012, the others within the 60 days before today.
CREATE OR REPLACE FUNCTION pg_temp.first_change(id bigint, seed bigint, today timestamptz) RETURNS timestamptz
LANGUAGE sql STABLE AS
'SELECT CASE WHEN pg_temp.pick(id, seed + 80, 10) < 9
             THEN pg_temp.pick_moment(id, seed + 81, timestamptz ''2012-01-01 00:00:00+00'', 366 * 86400)
             ELSE pg_temp.pick_moment(id, seed + 81, today - interval ''60 days'', 60 * 86400) END';

CREATE TEMPORARY TABLE sample_locale (number integer PRIMARY KEY, country integer, language integer, dial text);
CREATE TEMPORARY TABLE sample_person (
    number integer PRIMARY KEY, male_first text, female_first text, male_last text, female_last text,
    male_first_mailbox text, female_first_mailbox text, male_last_mailbox text, female_last_mailbox text
);
CREATE TEMPORARY TABLE sample_place (
    number integer PRIMARY KEY, address text, city text, state text, zip_code text, company text
);
-- Compiling such wide statements takes longer than running them.
SET jit = off;

-- name: fill_locales!
INSERT INTO pg_temp.sample_locale
SELECT * FROM jsonb_to_recordset(:records) AS r (number integer, country integer, language integer, dial text);

-- name: fill_people!
INSERT INTO pg_temp.sample_person
SELECT * FROM jsonb_to_recordset(:records) AS r (
    number integer, male_first text, female_first text, male_last text, female_last text,
    male_first_mailbox text, female_first_mailbox text, male_last_mailbox text, female_last_mailbox text
);

-- name: fill_places!
INSERT INTO pg_temp.sample_place
SELECT * FROM jsonb_to_recordset(:records) AS r (
    number integer, address text, city text, state text, zip_code text, company text
);

-- name: analyze_pools#
ANALYZE pg_temp.sample_locale, pg_temp.sample_person, pg_temp.sample_place;

-- name: today$
SELECT date_trunc('day', now(), 'UTC');

-- name: make_change_months$
SELECT contact_change_months('2012-01-01', '2012-12-01')
    + contact_change_months((:today - interval '60 days')::date, (:today)::date);

-- name: stop_logging_inserts!
ALTER TABLE contact DISABLE TRIGGER contact_inserted;

-- name: log_inserts_again!
ALTER TABLE contact ENABLE TRIGGER contact_inserted;

-- name: first_free_id$
SELECT 1 + greatest(
    (SELECT max(id) FROM contact), pg_sequence_last_value(pg_get_serial_sequence('contact', 'id')::regclass), 0
);

-- name: note_last_id$
SELECT setval(pg_get_serial_sequence('contact', 'id'), :last_id);

-- name: insert_contacts!
WITH numbered AS (
    SELECT
        id,
        (:locales)[1 + pg_temp.pick(id, :seed, cardinality(:locales))] AS locale,
        pg_temp.pick(id, :seed + 1, 2) = 1 AS female,
        pg_temp.pick(id, :seed + 2, 100) AS origin,
        1 + pg_temp.pick(id, :seed + 7, cardinality(:interests)) AS interest,
        pg_temp.pick_choice(id, :seed + 6, :marital_status) AS marital_status,
        pg_temp.pick(id, :seed + 3, 3) = 0 AS at_work,
        pg_temp.first_change(id, :seed, :today)::date AS registered
    FROM generate_series((:first_id)::bigint, :last_id) AS id
)
INSERT INTO contact (
    id, origin_kind, origin_id, interests, first_name, last_name, email, date_of_birth, gender, marital_status,
    children, education, title, address, city, state, zip_code, country, phone, fax, job_position, company, department,
    industry, phone_office, fax_office, number_of_employees, annual_revenue, url, preferred_email_format,
    avg_length_of_visit, page_views_per_day, days_since_last_email, response_rate, opt_in, user_status, contact_source,
    contact_form, registration_language, newsletter, mobile, first_name_of_partner, birthdate_of_partner, anniversary,
    company_address, zip_code_office, city_office, state_office, country_office, salutation, email_valid,
    registration_date, loyalty_number
)
SELECT
    n.id,
    CASE WHEN n.origin < 65 THEN 'form' ELSE 'api' END,
    CASE WHEN n.origin < 45 THEN 123 WHEN n.origin < 65 THEN 124
         WHEN n.origin < 80 THEN 456 WHEN n.origin < 90 THEN 789 ELSE 0 END,
    CASE WHEN pg_temp.pick(n.id, :seed + 4, 17) > 0 THEN
        (:interests)[n.interest : n.interest - 1 + pg_temp.pick(n.id, :seed + 5, 5)] END,
    pg_temp.with_gaps(n.id, :seed + 11, CASE WHEN n.female THEN first.female_first ELSE first.male_first END),
    pg_temp.with_gaps(n.id, :seed + 12, CASE WHEN n.female THEN last.female_last ELSE last.male_last END),
    CASE WHEN n.female THEN first.female_first_mailbox || '.' || last.female_last_mailbox
         ELSE first.male_first_mailbox || '.' || last.male_last_mailbox END
        || n.id || (ARRAY['@example.com', '@example.org', '@example.net'])[1 + pg_temp.pick(n.id, :seed + 13, 3)],
    CASE WHEN pg_temp.pick(n.id, :seed + 14, 17) > 0 THEN date '1932-01-01' + pg_temp.pick(n.id, :seed + 15, 27000) END,
    CASE WHEN pg_temp.pick(n.id, :seed + 16, 17) > 0 THEN 1 + n.female::integer END,
    n.marital_status,
    pg_temp.pick_choice(n.id, :seed + 17, :children),
    pg_temp.pick_choice(n.id, :seed + 18, :education),
    CASE WHEN pg_temp.pick(n.id, :seed + 19, 8) = 0 THEN pg_temp.pick_choice(n.id, :seed + 20, :title) END,
    pg_temp.with_gaps(n.id, :seed + 21, home.address),
    pg_temp.with_gaps(n.id, :seed + 22, home.city),
    pg_temp.with_gaps(n.id, :seed + 23, home.state),
    pg_temp.with_gaps(n.id, :seed + 24, home.zip_code),
    CASE WHEN pg_temp.pick(n.id, :seed + 25, 17) > 0 THEN l.country END,
    pg_temp.with_gaps(n.id, :seed + 26, l.dial || ' ' || 100000000 + pg_temp.pick(n.id, :seed + 27, 900000000)),
    CASE WHEN n.at_work THEN l.dial || ' ' || 100000000 + pg_temp.pick(n.id, :seed + 28, 900000000) END,
    pg_temp.pick_choice(n.id, :seed + 29, :job_position),
    CASE WHEN n.at_work THEN pg_temp.with_gaps(n.id, :seed + 30, office.company) END,
    CASE WHEN n.at_work THEN pg_temp.pick_choice(n.id, :seed + 31, :department) END,
    CASE WHEN n.at_work THEN pg_temp.pick_choice(n.id, :seed + 32, :industry) END,
    CASE WHEN n.at_work THEN l.dial || ' ' || 100000000 + pg_temp.pick(n.id, :seed + 33, 900000000) END,
    CASE WHEN n.at_work THEN l.dial || ' ' || 100000000 + pg_temp.pick(n.id, :seed + 34, 900000000) END,
    CASE WHEN n.at_work THEN pg_temp.pick_choice(n.id, :seed + 35, :number_of_employees) END,
    CASE WHEN n.at_work THEN pg_temp.pick_choice(n.id, :seed + 36, :annual_revenue) END,
    CASE WHEN n.at_work THEN 'https://www.example.com/?q=a,b;c&id=' || n.id END,
    pg_temp.pick_choice(n.id, :seed + 37, :preferred_email_format),
    CASE WHEN pg_temp.pick(n.id, :seed + 38, 17) > 0 THEN round(pg_temp.pick(n.id, :seed + 39, 3000) / 100.0, 2) END,
    CASE WHEN pg_temp.pick(n.id, :seed + 38, 17) > 0 THEN round(pg_temp.pick(n.id, :seed + 40, 500) / 10.0, 1) END,
    pg_temp.pick(n.id, :seed + 41, 120),
    CASE WHEN pg_temp.pick(n.id, :seed + 42, 17) > 0 THEN round(pg_temp.pick(n.id, :seed + 43, 1001) / 10.0, 1) END,
    1 + (pg_temp.pick(n.id, :seed + 44, 5) = 0)::integer,
    1 + pg_temp.pick(n.id, :seed + 45, 3),
    CASE WHEN n.origin < 65 THEN NULL WHEN n.origin < 80 THEN 456 WHEN n.origin < 90 THEN 789 END,
    CASE WHEN n.origin < 45 THEN 123 WHEN n.origin < 65 THEN 124 END,
    CASE WHEN pg_temp.pick(n.id, :seed + 46, 17) > 0 THEN l.language END,
    1 + (pg_temp.pick(n.id, :seed + 47, 3) = 0)::integer,
    pg_temp.with_gaps(n.id, :seed + 48, l.dial || ' ' || 100000000 + pg_temp.pick(n.id, :seed + 49, 900000000)),
    CASE WHEN n.marital_status IN (2, 3) THEN CASE WHEN n.female THEN partner.male_first ELSE partner.female_first END END,
    CASE WHEN n.marital_status IN (2, 3) THEN date '1932-01-01' + pg_temp.pick(n.id, :seed + 50, 27000) END,
    CASE WHEN n.marital_status = 2 THEN date '1980-01-01' + pg_temp.pick(n.id, :seed + 51, 11680) END,
    CASE WHEN n.at_work THEN pg_temp.with_gaps(n.id, :seed + 52, office.address) END,
    CASE WHEN n.at_work THEN pg_temp.with_gaps(n.id, :seed + 53, office.zip_code) END,
    CASE WHEN n.at_work THEN pg_temp.with_gaps(n.id, :seed + 54, office.city) END,
    CASE WHEN n.at_work THEN pg_temp.with_gaps(n.id, :seed + 55, office.state) END,
    CASE WHEN n.at_work THEN l.country END,
    CASE WHEN pg_temp.pick(n.id, :seed + 56, 17) > 0 THEN 1 + n.female::integer END,
    1 + (pg_temp.pick(n.id, :seed + 57, 50) = 0)::integer,
    n.registered,
    pg_temp.with_gaps(n.id, :seed + 58, 'L-' || lpad(n.id::text, 9, '0'))
FROM numbered AS n
JOIN pg_temp.sample_locale AS l ON l.number = n.locale
JOIN pg_temp.sample_person AS first ON first.number = n.locale * :pool_size + pg_temp.pick(n.id, :seed + 60, :pool_size)
JOIN pg_temp.sample_person AS last ON last.number = n.locale * :pool_size + pg_temp.pick(n.id, :seed + 61, :pool_size)
JOIN pg_temp.sample_person AS partner ON partner.number = n.locale * :pool_size + pg_temp.pick(n.id, :seed + 62, :pool_size)
JOIN pg_temp.sample_place AS home ON home.number = n.locale * :pool_size + pg_temp.pick(n.id, :seed + 63, :pool_size)
JOIN pg_temp.sample_place AS office ON office.number = n.locale * :pool_size + pg_temp.pick(n.id, :seed + 64, :pool_size);

-- The first change; of those who came in 2012, one in four changed again that year, three in ten in the last 60 days.
-- In the order of time, so that one index page after the other is filled.
-- name: insert_changes!
WITH arrived AS (
    SELECT id, origin_kind, origin_id, pg_temp.first_change(id, :seed, :today) AS first
    FROM contact WHERE id BETWEEN :first_id AND :last_id
)
INSERT INTO contact_change (contact_id, origin_kind, origin_id, changed_at, kind)
SELECT id, origin_kind, origin_id, first AS changed_at, 'c'::"char" FROM arrived
UNION ALL
SELECT id, origin_kind, origin_id, pg_temp.pick_moment(
    id, :seed + 83, first, extract(epoch FROM timestamptz '2013-01-01 00:00:00+00' - first)::bigint
), 'u'
FROM arrived WHERE first < timestamptz '2012-12-31 00:00:00+00' AND pg_temp.pick(id, :seed + 82, 4) = 0
UNION ALL
SELECT id, origin_kind, origin_id, pg_temp.pick_moment(id, :seed + 85, :today - interval '60 days', 60 * 86400), 'u'
FROM arrived WHERE first < timestamptz '2013-01-01 00:00:00+00' AND pg_temp.pick(id, :seed + 84, 10) < 3
ORDER BY changed_at;

-- name: analyze#
ANALYZE contact, contact_change;
