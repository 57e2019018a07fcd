-- name: prepare_measuring$
-- For this transaction. Counting is no more worth compiling than reading, see below.
SELECT set_config('jit', 'off', true);

-- name: is_small_part$
-- Of a table that has been analyzed. From 18 on one search by an index takes a list of keys and fetches nothing between
-- them, in their order. The list costs more than it saves when many contacts have changed; and without an index by id each
-- contact would be compared with the whole of it.
SELECT relkind = 'r' AND :contacts * :one_of <= reltuples AND current_setting('server_version_num')::integer >= 180000
    AND EXISTS (
        SELECT FROM pg_index JOIN pg_attribute ON attrelid = indrelid AND attnum = indkey[0]
        WHERE indrelid = pg_class.oid AND attname = 'id' AND indisunique AND indisvalid AND indpred IS NULL
    )
FROM pg_class WHERE oid = 'contact'::regclass;

-- name: prepare_reading$
-- For this transaction. Times are told in the service's zone. Compiling wide statements takes longer than running them.
-- Workers of one session would each group all changes, so several sessions read instead. Contacts are fetched in the order
-- of changes that are sorted by id; a hash join would have to sort whole rows. Of a view it is not known what it joins. How
-- long a list of ids will be is not known to the planner, which would look through all changes for each contact.
SELECT
    set_config('TimeZone', :time_zone, true),
    set_config('jit', 'off', true),
    set_config('max_parallel_workers_per_gather', '0', true),
    CASE WHEN relkind IN ('r', 'p') THEN set_config('enable_hashjoin', 'off', true) END,
    CASE WHEN :small_part THEN set_config('enable_nestloop', 'off', true) END
FROM pg_class WHERE oid = 'contact'::regclass;

-- name: count_changed!
-- A template: {window} is one of the three below.
SELECT count(*) AS contacts FROM (SELECT DISTINCT contact_id FROM contact_change WHERE {window}) AS changed;

-- name: sample_changed!
-- A template: {window} is one of the three below. Of every so many contacts one, picked by the hash of its id; and the ids
-- at which the sample is cut into equal parts.
SELECT count(*) AS contacts,
       CAST(percentile_disc(CAST(:cuts AS float8[])) WITHIN GROUP (ORDER BY contact_id) AS text[]) AS cuts
FROM (
    SELECT DISTINCT contact_id FROM contact_change WHERE {window} AND mod({hash}(contact_id), :one_of) = 0
) AS sample;

-- name: sample_all!
-- A template, likewise: of all contacts of the origin.
SELECT count(*) AS contacts,
       CAST(percentile_disc(CAST(:cuts AS float8[])) WITHIN GROUP (ORDER BY c.id) AS text[]) AS cuts
FROM contact AS c WHERE {belongs} AND mod({hash}(c.id), :one_of) = 0;

-- name: count_all!
SELECT count(*) AS contacts FROM contact AS c WHERE {belongs};

-- name: count_removed!
-- Those of one contact that was removed twice count twice.
SELECT coalesce(sum(cardinality(contact_ids)), 0) AS contacts FROM contact_removal WHERE {window};

-- name: count_removed_rows!
-- Each once, and not those that belong to the origin again.
SELECT count(*) AS contacts
FROM (
    SELECT DISTINCT removed_id AS contact_id FROM contact_removal, unnest(contact_ids) AS removed_id WHERE {window}
) AS removed LEFT JOIN contact AS c ON c.id = removed.contact_id AND {belongs}
WHERE c.id IS NULL;

-- name: count_registered!
-- A template, as above, for created contacts: those that belong to the origin now, of all or of a sample like the one above.
SELECT count(*) AS contacts
FROM (
    SELECT DISTINCT contact_id FROM contact_change WHERE {window} AND mod({hash}(contact_id), :one_of) = 0
) AS created JOIN contact AS c ON c.id = created.contact_id
WHERE {belongs};

-- name: window_of_origin!
origin_kind = :origin AND origin_id = ANY (:origin_ids) AND changed_at >= :start AND changed_at < :until;

-- name: window_of_origin_or_any!
-- Of origin "any" are changes of adopted tables for which it was not known whose contacts they are.
(origin_kind = :origin AND origin_id = ANY (:origin_ids) OR origin_kind = 'any' AND origin_id = 0)
AND changed_at >= :start AND changed_at < :until;

-- name: window_of_anything!
changed_at >= :start AND changed_at < :until;

-- name: window_of_creations!
-- Under whatever origin.
changed_at >= :start AND changed_at < :until AND kind = 'c';

-- name: copy_changed!
-- A template: {rows} is the one below.
COPY ({rows}) TO STDOUT (FORMAT csv, DELIMITER {delimiter}, NULL '', ENCODING 'UTF8');

-- name: changed_rows!
-- A template: {columns} are the id, the fields in the order asked for and the last update, {labels} what they need; of
-- {belongs} and {fetched} there are several each below.
WITH {labels} changed AS (
    SELECT contact_id, max(changed_at) AS changed_at
    FROM contact_change
    WHERE {window} AND contact_id BETWEEN CAST(:first_id AS {id_type}) AND CAST(:last_id AS {id_type})
    GROUP BY contact_id
    ORDER BY contact_id
)
SELECT {columns}
FROM changed
JOIN contact AS c ON c.id = changed.contact_id
WHERE {belongs} AND {fetched}
ORDER BY c.id;

-- name: rows_with_removed!
-- The same, and contacts that were deleted or have left the origin in the window. Of a contact that belongs to the origin
-- now only its changes count, of another one only its removal: the other kind has a later entry, of the next window.
WITH {labels} changed AS (
    SELECT contact_id, max(changed_at) AS changed_at
    FROM contact_change
    WHERE {window} AND contact_id BETWEEN CAST(:first_id AS {id_type}) AND CAST(:last_id AS {id_type})
    GROUP BY contact_id
    ORDER BY contact_id
), removed AS (
    SELECT removed_id AS contact_id, max(changed_at) AS removed_at,
           string_agg(DISTINCT origin_kind || ':' || origin_id, ', ') FILTER (WHERE origin_kind <> 'any') AS origins
    FROM contact_removal, unnest(contact_ids) AS removed_id
    WHERE {window} AND removed_id BETWEEN CAST(:first_id AS {id_type}) AND CAST(:last_id AS {id_type})
    GROUP BY removed_id
    ORDER BY removed_id
), logged AS (
    SELECT contact_id, changed.changed_at, removed.removed_at, removed.origins
    FROM changed FULL JOIN removed USING (contact_id)
)
SELECT {columns}
FROM logged
LEFT JOIN contact AS c ON c.id = logged.contact_id AND {belongs} AND {fetched}
WHERE CASE WHEN c.id IS NULL THEN logged.removed_at ELSE logged.changed_at END IS NOT NULL
ORDER BY logged.contact_id;

-- name: all_rows!
-- The same of every contact of the origin, from the table itself.
WITH {labels} changed AS (
    SELECT contact_id, max(changed_at) AS changed_at
    FROM contact_change
    WHERE changed_at < :until AND contact_id BETWEEN CAST(:first_id AS {id_type}) AND CAST(:last_id AS {id_type})
    GROUP BY contact_id
    ORDER BY contact_id
)
SELECT {columns}
FROM contact AS c
LEFT JOIN changed ON changed.contact_id = c.id
WHERE {belongs} AND {fetched}
ORDER BY c.id;

-- name: fetched_in_range!
c.id BETWEEN CAST(:first_id AS {id_type}) AND CAST(:last_id AS {id_type});

-- name: fetched_by_ids!
c.id = ANY (CAST((SELECT array_agg(contact_id) FROM changed) AS {id_type}[]));

-- name: belongs_to_origin!
c.origin_kind = :origin AND c.origin_id = ANY (:origin_ids);

-- name: belongs_by_membership!
EXISTS (
    SELECT FROM contact_origin AS m
    WHERE m.contact_id = c.id AND m.origin_kind = :origin AND m.origin_id = ANY (:origin_ids)
);

-- name: belongs_to_anything!
true;

-- name: id_column!
{id};

-- name: id_column_checked!
-- For a view, whose ids may repeat: equal ones are neighbours. SQL has no other way to raise an error than to fail at
-- something.
CASE WHEN {id} = lag({id}) OVER (ORDER BY {id})
    THEN CAST('contact ' || {id} || ' is there more than once' AS {id_type}) ELSE {id} END;

-- name: last_update_column!
date_trunc('second', changed.changed_at::timestamp);

-- name: last_update_or_removal_column!
date_trunc('second', (CASE WHEN c.id IS NULL THEN logged.removed_at ELSE logged.changed_at END)::timestamp);

-- name: origin_column!
c.origin_kind || ':' || c.origin_id;

-- name: origins_column!
-- Where a contact may belong to several: those that were asked for.
(
    SELECT string_agg(m.origin_kind || ':' || m.origin_id, ', ' ORDER BY m.origin_kind, m.origin_id)
    FROM contact_origin AS m WHERE m.contact_id = c.id AND {asked_for}
);

-- name: membership_asked_for!
m.origin_kind = :origin AND m.origin_id = ANY (:origin_ids);

-- name: origin_or_left_column!
-- Of a removed contact the origins that it has left.
CASE WHEN c.id IS NULL THEN logged.origins ELSE {origin} END;

-- name: change_column!
CASE
    WHEN c.id IS NOT NULL THEN 'changed'
    WHEN EXISTS (SELECT FROM contact AS elsewhere WHERE elsewhere.id = logged.contact_id) THEN 'moved'
    ELSE 'deleted'
END;

-- name: changed_column!
'changed';

-- name: moment_column!
-- A date or time of the years 1 to 9999; others (infinity, before Christ, of five digits) have no form like YYYY-MM-DD.
CASE WHEN {value} >= '0001-01-01' AND {value} < '10000-01-01' THEN {value}::text END;

-- name: plain_column!
-- An empty string is written like NULL: COPY would quote it.
nullif(c.{column}::text, '');

-- name: single_choice_column!
coalesce((SELECT label FROM {labels}) ->> c.{column}::text, c.{column}::text);

-- name: multiple_choice_column!
(
    SELECT nullif(string_agg(coalesce((SELECT label FROM {labels}) ->> id::text, id::text), ', ' ORDER BY position), '')
    FROM unnest(c.{column}) WITH ORDINALITY AS chosen (id, position)
);

-- name: choice_labels!
-- One object, label by id: a look into it is as fast as a hash join, and leaves the rows in their order.
{labels} AS MATERIALIZED (
    SELECT jsonb_object_agg(
        id, coalesce(nullif(labels ->> :language, ''), nullif(labels ->> 'en', ''), id::text)
    ) AS label
    FROM contact_field_choice WHERE field_id = {field_id}
);

-- name: may_be_unreadable$
-- The view lists contact and column of each value that cannot be computed.
SELECT to_regclass('contact_unreadable') IS NOT NULL;

-- name: unreadable_of_changes!
-- A template: {window} is one of those above.
SELECT u.column_name AS column, count(*) AS contacts, min(u.id::text) AS example
FROM (SELECT DISTINCT contact_id FROM contact_change WHERE {window}) AS changed
JOIN contact_unreadable AS u ON u.id = changed.contact_id
WHERE u.column_name = ANY (:columns)
GROUP BY u.column_name ORDER BY u.column_name;

-- name: unreadable_of_contacts!
SELECT u.column_name AS column, count(*) AS contacts, min(u.id::text) AS example
FROM contact_unreadable AS u
WHERE u.column_name = ANY (:columns)
GROUP BY u.column_name ORDER BY u.column_name;
