-- name: contact_table()^
SELECT
    relkind IN ('r', 'p') AS is_table,
    current_setting('transaction_read_only')::boolean AS is_read_only
FROM pg_class WHERE oid = to_regclass('contact');

-- name: count_roughly$
-- A view, and a table that was never analyzed, has no estimate: then it is the number at which counting stopped.
SELECT CASE WHEN counted > :most THEN greatest(counted, estimated) ELSE counted END
FROM (SELECT count(*) AS counted FROM (SELECT FROM contact LIMIT :most + 1) AS first_ones) AS c,
     (SELECT reltuples::bigint AS estimated FROM pg_class WHERE oid = to_regclass('contact')) AS e;

-- name: describe^
-- What a reader of `contact` must know. Ids are unique for sure only by an index on nothing else, and children that
-- inherit are not in it. A domain's values are written by the function of its base type.
SELECT
    (contact.relkind = 'p' OR NOT contact.relhassubclass) AND EXISTS (
        SELECT FROM pg_index JOIN pg_attribute ON attrelid = indrelid AND attnum = indkey[0]
        WHERE indrelid = contact.oid AND attname = 'id' AND attnotnull
          AND indisunique AND indisvalid AND indnkeyatts = 1 AND indpred IS NULL
    ) AS ids_are_unique,
    ARRAY(
        SELECT attname::text FROM pg_attribute JOIN pg_type ON pg_type.oid = atttypid
        WHERE attrelid = contact.oid AND attnum > 0 AND NOT attisdropped
          AND typoutput IN ('date_out'::regproc, 'timestamp_out'::regproc, 'timestamptz_out'::regproc)
    ) AS moments,
    (
        SELECT format_type(atttypid, NULL) FROM pg_attribute
        WHERE attrelid = 'contact_change'::regclass AND attname = 'contact_id'
    ) AS id_type,
    EXISTS (
        SELECT FROM pg_attribute WHERE attrelid = to_regclass('contact_origin') AND attname = 'contact_id'
    ) AS has_memberships
FROM pg_class AS contact
WHERE contact.oid = 'contact'::regclass;

-- name: logs_any$
SELECT EXISTS (SELECT FROM adopted WHERE joined)
    OR EXISTS (SELECT FROM contact_change WHERE origin_id = 0 AND origin_kind = 'any');
