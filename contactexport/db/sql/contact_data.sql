-- Contacts as they are now, without an export. Values are as stored: of a choice its id.

-- name: query_contacts!
-- A template: {column} is the value wanted, {condition} one of the two below.
SELECT c.id::text AS id, {column} AS value
FROM contact AS c
WHERE {condition}
ORDER BY c.id LIMIT :limit OFFSET :offset;

-- name: every_contact!
true;

-- name: contacts_with_value!
{column} = :value;

-- name: contacts_by_id!
-- A template: the columns wanted, each named by its field's id.
SELECT c.id::text AS id, {columns}
FROM contact AS c
WHERE c.id = ANY (CAST(:ids AS {id_type}[]))
ORDER BY c.id;

-- name: stored_value!
c.{column}::text;
