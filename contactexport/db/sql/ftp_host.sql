-- name: traits_of
SELECT trait, temporary_name FROM ftp_host_trait
WHERE host = :host AND port = :port AND username = :username;

-- name: store_trait!
INSERT INTO ftp_host_trait (host, port, username, trait, told, temporary_name)
VALUES (:host, :port, :username, :trait, :told, :temporary_name)
ON CONFLICT (host, port, username, trait) DO UPDATE
SET told = excluded.told, temporary_name = excluded.temporary_name, learned_at = clock_timestamp();

-- name: drop_trait!
DELETE FROM ftp_host_trait WHERE host = :host AND port = :port AND username = :username AND trait = :trait;

-- name: all_traits
SELECT host, port, username, trait, told, temporary_name, learned_at FROM ftp_host_trait
ORDER BY host, port, username, trait;

-- name: forget_host!
DELETE FROM ftp_host_trait
WHERE host = :host
  AND (CAST(:port AS integer) IS NULL OR port = :port)
  AND (CAST(:username AS text) IS NULL OR username = :username);
