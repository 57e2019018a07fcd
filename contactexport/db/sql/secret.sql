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

-- name: lock_notify_secrets
SELECT id, 'notification of export ' || id AS owner, notify_secret AS secret
FROM export
WHERE notify_secret IS NOT NULL AND id > :after
ORDER BY id LIMIT :batch
FOR UPDATE;

-- name: set_notify_secret!
UPDATE export SET notify_secret = :secret WHERE id = :id;

-- name: lock_feed_ftp_secrets
SELECT id, 'feed ' || name AS owner, ftp_secret AS secret
FROM feed
WHERE ftp_secret IS NOT NULL AND id > :after
ORDER BY id LIMIT :batch
FOR UPDATE;

-- name: set_feed_ftp_secret!
UPDATE feed SET ftp_secret = :secret WHERE id = :id;

-- name: lock_feed_notify_secrets
SELECT id, 'notification of feed ' || name AS owner, notify_secret AS secret
FROM feed
WHERE notify_secret IS NOT NULL AND id > :after
ORDER BY id LIMIT :batch
FOR UPDATE;

-- name: set_feed_notify_secret!
UPDATE feed SET notify_secret = :secret WHERE id = :id;

-- name: lock_manifest_keys
SELECT id, 'key of manifests ' || id AS owner, private_key AS secret
FROM manifest_key
WHERE private_key IS NOT NULL AND id > :after
ORDER BY id LIMIT :batch
FOR UPDATE;

-- name: set_manifest_key!
UPDATE manifest_key SET private_key = :secret WHERE id = :id AND private_key IS NOT NULL;

-- name: lock_urls
-- Of exports that may still have to notify somebody.
SELECT id, settings ->> 'notification_url' AS url
FROM export
WHERE id > :after AND notify_secret IS NULL AND settings ->> 'notification_url' ~ '[@?#]'
  AND (finished_at IS NULL OR notify_due_at IS NOT NULL)
ORDER BY id LIMIT :batch
FOR UPDATE;

-- name: hide_url!
UPDATE export
SET notify_secret = :secret, settings = jsonb_set(settings, '{notification_url}', to_jsonb(CAST(:hidden AS text)))
WHERE id = :id;
