-- name: read^
SELECT id::text AS id, key_fingerprint, storage_marked FROM installation;

-- name: claim_marking$
-- Whoever else wants to mark a folder waits for this transaction. NULL when a folder is marked already.
UPDATE installation SET storage_marked = true WHERE NOT storage_marked RETURNING id::text;

-- name: note_marked!
UPDATE installation SET storage_marked = true WHERE NOT storage_marked;

-- name: note_first_key!
UPDATE installation SET key_fingerprint = :fingerprint WHERE key_fingerprint IS NULL;

-- name: note_key!
UPDATE installation SET key_fingerprint = :fingerprint WHERE key_fingerprint IS DISTINCT FROM :fingerprint;
