WITH genders AS MATERIALIZED (
    SELECT jsonb_object_agg(id, labels ->> 'en') AS label FROM contact_field_choice WHERE field_id = 5
), countries AS MATERIALIZED (
    SELECT jsonb_object_agg(id, labels ->> 'en') AS label FROM contact_field_choice WHERE field_id = 14
)
SELECT c.id AS user_id, nullif(c.first_name, '') AS "First Name", nullif(c.last_name, '') AS "Last Name",
       nullif(c.email, '') AS "E-Mail", c.date_of_birth AS "Date of Birth",
       (SELECT label FROM genders) ->> c.gender::text AS "Gender",
       nullif(c.address, '') AS "Address", nullif(c.city, '') AS "City", nullif(c.zip_code, '') AS "ZIP Code",
       (SELECT label FROM countries) ->> c.country::text AS "Country",
       nullif(c.loyalty_number, '') AS "Loyalty number",
       date_trunc('second', changed.changed_at AT TIME ZONE 'UTC')::text AS "last update"
FROM (
    SELECT contact_id, max(changed_at) AS changed_at FROM contact_change
    WHERE {changes} AND changed_at >= '{start}' AND changed_at < '{end}'
    GROUP BY contact_id
) AS changed
JOIN contact AS c ON c.id = changed.contact_id
WHERE {contacts}
ORDER BY c.id
