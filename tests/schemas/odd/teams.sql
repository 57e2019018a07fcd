-- Facts of a club: people in teams and organizations, hardly a foreign key, and badges in a table without a primary key.
CREATE TABLE org (
    id integer PRIMARY KEY,
    parent_id integer,
    name text NOT NULL,
    plan integer
);
CREATE TABLE team (
    team_id integer PRIMARY KEY,
    org_id integer,
    plan integer
);
CREATE TABLE person (
    id integer PRIMARY KEY,
    org_id integer,
    team_id integer,
    name text NOT NULL,
    ok boolean NOT NULL,
    form integer
);
CREATE TABLE guest (
    id integer PRIMARY KEY CHECK (id > 100),
    org_id integer,
    name text NOT NULL
);
CREATE TABLE badge (
    person_id integer,
    level integer,
    note json
);
CREATE VIEW member AS
SELECT p.id, p.name, p.ok, o.plan, t.plan AS team_plan
FROM person AS p LEFT JOIN org AS o ON o.id = p.org_id LEFT JOIN team AS t ON t.team_id = p.team_id;
CREATE VIEW active AS SELECT m.id, m.name, m.team_plan AS plan FROM member AS m WHERE m.ok AND m.plan IS DISTINCT FROM 3;
