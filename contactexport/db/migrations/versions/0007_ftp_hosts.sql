-- What FTP hosts do in their own way, as their replies have shown. A template: {schema} is where the log of changes stands.
CREATE TABLE {schema}.ftp_host_trait (
    host text NOT NULL,  -- an address, or a name in lower-case ASCII
    port integer NOT NULL,
    username text NOT NULL,
    trait text NOT NULL,
    told text NOT NULL,  -- the reply that has shown it, in one line without passwords
    temporary_name text NOT NULL,  -- the pattern that was in use
    learned_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (host, port, username, trait)
);
