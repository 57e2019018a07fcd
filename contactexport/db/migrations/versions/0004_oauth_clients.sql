ALTER TABLE api_user
    ADD COLUMN client_id text UNIQUE,
    ADD COLUMN client_secret_hash bytea,
    ADD CHECK ((client_id IS NULL) = (client_secret_hash IS NULL));

-- Access tokens of OAuth clients. A token is 256 random bits, and only its SHA-256 is stored.
CREATE TABLE access_token (
    token_hash bytea PRIMARY KEY,
    user_id bigint NOT NULL REFERENCES api_user ON DELETE CASCADE,
    expires_at timestamptz NOT NULL
);
CREATE INDEX access_token_by_user ON access_token (user_id);
CREATE INDEX access_token_by_expiry ON access_token (expires_at);
