WITH genders AS MATERIALIZED (
    SELECT id, labels ->> 'en' AS label FROM contact_field_choice WHERE field_id = 5
), countries AS MATERIALIZED (
    SELECT id, labels ->> 'en' AS label FROM contact_field_choice WHERE field_id = 14
)
SELECT c.id AS user_id, nullif(c.first_name, '') AS "First Name", nullif(c.last_name, '') AS "Last Name",
       nullif(c.email, '') AS "E-Mail", c.date_of_birth AS "Date of Birth", genders.label AS "Gender",
       nullif(c.address, '') AS "Address", nullif(c.city, '') AS "City", nullif(c.zip_code, '') AS "ZIP Code",
       countries.label AS "Country", nullif(c.loyalty_number, '') AS "Loyalty number",
       to_char(changed.changed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') AS "last update"
FROM (
    SELECT contact_id, max(changed_at) AS changed_at FROM contact_change
    WHERE origin_kind = 'form' AND origin_id = {form} AND changed_at >= '{start}' AND changed_at < '{end}'
    GROUP BY contact_id
) AS changed
JOIN contact AS c ON c.id = changed.contact_id
LEFT JOIN genders ON genders.id = c.gender
LEFT JOIN countries ON countries.id = c.country
WHERE c.origin_kind = 'form' AND c.origin_id = {form}
ORDER BY c.id
