-- name: lock_wsse_secrets
SELECT id, 'user ' || name AS owner, wsse_secret AS secret
FROM api_user
WHERE wsse_secret IS NOT NULL AND id > :after
ORDER BY id LIMIT :batch
FOR UPDATE;

-- name: set_wsse_secret!
UPDATE api_user SET wsse_secret = :secret WHERE id = :id;

-- name: lock_ftp_secrets
SELECT id, 'export ' || id AS owner, ftp_secret AS secret
FROM export
WHERE ftp_secret IS NOT NULL AND id > :after
ORDER BY id LIMIT :batch
FOR UPDATE;

-- name: set_ftp_secret!
UPDATE export SET ftp_secret = :secret WHERE id = :id;
