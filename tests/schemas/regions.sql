-- Facts of a large customer table in partitions. One was attached, with its columns in another order.
CREATE TABLE customer (
    customer_no bigint NOT NULL PRIMARY KEY,
    signup_form integer,
    given_name text,
    mail text NOT NULL,
    sex char(1),
    visits integer NOT NULL DEFAULT 0
) PARTITION BY HASH (customer_no);
CREATE TABLE customer_0 PARTITION OF customer FOR VALUES WITH (MODULUS 3, REMAINDER 0);
CREATE TABLE customer_1 PARTITION OF customer FOR VALUES WITH (MODULUS 3, REMAINDER 1);
CREATE TABLE customer_2 (
    visits integer NOT NULL DEFAULT 0,
    sex char(1),
    customer_no bigint NOT NULL PRIMARY KEY,
    mail text NOT NULL,
    dropped text,
    signup_form integer,
    given_name text
);
ALTER TABLE customer_2 DROP COLUMN dropped;
ALTER TABLE customer ATTACH PARTITION customer_2 FOR VALUES WITH (MODULUS 3, REMAINDER 2);
