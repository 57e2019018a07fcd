-- A log of changes that nobody has pruned for a long time.

-- name: add_changes!
-- So many, in the order of their times, in the 25 days after `month`.
INSERT INTO contact_change (contact_id, origin_kind, origin_id, changed_at, kind)
SELECT mod(n * CAST(7919 AS bigint), :contacts) + 1, 'form', mod(n, 500), CAST(:month AS timestamptz) + n * (interval '25 days' / :changes), 'u'
FROM generate_series(0, :changes - 1) AS n;

-- name: add_removals!
-- Of one contact each, as when contacts are deleted one by one.
INSERT INTO contact_removal (origin_kind, origin_id, changed_at, kind, contact_ids)
SELECT 'form', mod(n, 500), CAST(:month AS timestamptz) + n * (interval '25 days' / :removals), 'd', ARRAY[CAST(n AS bigint)]
FROM generate_series(1, :removals) AS n;

-- name: size_of_month^
SELECT pg_relation_size(to_regclass(:partition)) AS rows, pg_indexes_size(to_regclass(:partition)) AS indexes;

-- name: size_of_removals^
SELECT pg_relation_size('contact_removal') AS rows, pg_indexes_size('contact_removal') AS indexes;
