-- Looking for the contact by which an export fails. Templates: {window} and {belongs} are conditions in changed_contact.sql.

-- name: has_contact_without_id!
SELECT EXISTS (SELECT FROM contact AS c WHERE c.id IS NULL AND {belongs}) AS found;

-- name: repeated_id!
SELECT c.id FROM contact AS c
WHERE {belongs} AND c.id IN (SELECT contact_id FROM contact_change WHERE {window})
GROUP BY c.id HAVING count(*) > 1
ORDER BY c.id LIMIT 1;

-- name: bounds_of_changed!
SELECT min(contact_id) AS first, percentile_disc(0.5) WITHIN GROUP (ORDER BY contact_id) AS middle, max(contact_id) AS last
FROM (
    SELECT DISTINCT contact_id FROM contact_change
    WHERE {window} AND contact_id BETWEEN CAST(:first_id AS {id_type}) AND CAST(:last_id AS {id_type})
) AS changed;
