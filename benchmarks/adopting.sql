-- A table of customers as other programs have it, before it is adopted.

-- name: make#
CREATE TABLE country (id integer PRIMARY KEY, name text NOT NULL);
INSERT INTO country SELECT n, 'Country ' || n FROM generate_series(1, 200) AS n;
CREATE TABLE customer (
    id bigint PRIMARY KEY, form integer, given_name text, mail text NOT NULL, country_id integer, country_name text, visits integer
);

-- name: fill!
INSERT INTO customer
SELECT n, 1 + mod(n, 3), 'name ' || n, 'customer.' || n || '@example.com', 1 + mod(n, 200), 'Country ' || 1 + mod(n, 200), 0
FROM generate_series(1, CAST(:customers AS bigint)) AS n;

-- name: finish#
ALTER TABLE customer ADD FOREIGN KEY (country_id) REFERENCES country;

-- name: settle!
VACUUM (ANALYZE) customer;

-- name: visit!
UPDATE customer SET visits = visits + 1 WHERE id = :id;
