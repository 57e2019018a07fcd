-- Legal SELECTs over teams.sql of which it is easy to lose a change. Some cannot be watched: they are refused so.

-- origin by a join
SELECT c.id, 'form' AS origin_kind, o.plan AS origin_id, c.name FROM person c LEFT JOIN org o ON o.id = c.org_id;

-- origin by a joined subquery
SELECT c.id, 'form' AS origin_kind, x.plan AS origin_id, c.name
FROM person c LEFT JOIN (SELECT o.id, o.plan FROM org o WHERE o.name > 'c') x ON x.id = c.org_id AND c.ok;

-- origin by LATERAL
SELECT c.id, 'form' AS origin_kind, x.plan AS origin_id, c.name
FROM person c LEFT JOIN LATERAL (SELECT o.plan FROM org o WHERE o.id = c.org_id) x ON c.ok;

-- origin by LATERAL of the first
SELECT c.id, 'form' AS origin_kind, x.level AS origin_id, c.name
FROM person c LEFT JOIN LATERAL (
    SELECT b.level FROM badge b WHERE b.person_id = c.id AND b.level IS NOT NULL ORDER BY b.level LIMIT 1
) x ON true;

-- origin by LATERAL without a table
SELECT c.id, 'form' AS origin_kind, x.plan AS origin_id, c.name
FROM person c LEFT JOIN LATERAL (SELECT c.form + 1 AS plan) x ON c.ok;

-- contacts by LATERAL without a table
SELECT x.id, 'form' AS origin_kind, c.form AS origin_id, c.name
FROM person c CROSS JOIN LATERAL (SELECT c.id WHERE c.ok) x;

-- origin by a constant of a join
SELECT c.id, CASE WHEN x.one = 1 THEN 'form' ELSE 'api' END AS origin_kind, coalesce(x.one, 2) AS origin_id, c.name
FROM person c LEFT JOIN (SELECT 1 AS one) x ON c.ok;

-- origin by two joins
SELECT c.id, 'form' AS origin_kind, q.plan AS origin_id, c.name, o.name AS city
FROM person c LEFT JOIN org o ON o.id = c.org_id LEFT JOIN org q ON q.id = o.parent_id;

-- condition by two joins
SELECT c.id, 'form' AS origin_kind, c.form AS origin_id, c.name
FROM person c LEFT JOIN org o ON o.id = c.org_id LEFT JOIN org q ON q.id = o.parent_id
WHERE q.plan IS DISTINCT FROM 2;

-- without a join
SELECT c.id, 'form' AS origin_kind, c.form AS origin_id, c.name
FROM person c LEFT JOIN org o ON o.id = c.org_id AND c.ok WHERE o.id IS NULL;

-- whole row
SELECT c.id, 'form' AS origin_kind, c.form AS origin_id, c.name
FROM person c LEFT JOIN org o ON o.id = c.org_id WHERE o IS NOT NULL;

-- nested joins
SELECT c.id, 'form' AS origin_kind, t.plan AS origin_id, c.name, o.name AS city
FROM person c LEFT JOIN (team t JOIN org o ON o.id = t.org_id) ON t.team_id = c.team_id AND c.ok;

-- nested optional joins
SELECT c.id, 'form' AS origin_kind, o.plan AS origin_id, c.name
FROM person c LEFT JOIN (team t LEFT JOIN org o ON o.id = t.org_id) ON t.team_id = c.team_id AND c.ok;

-- CASE
SELECT c.id, CASE WHEN o.plan > 1 THEN 'form' ELSE 'api' END AS origin_kind,
    CASE c.ok WHEN true THEN o.plan ELSE t.plan END AS origin_id, c.name
FROM person c LEFT JOIN org o ON o.id = c.org_id LEFT JOIN team t ON t.team_id = c.team_id;

-- coalesce of two joins
SELECT c.id, 'form' AS origin_kind, coalesce(o.plan, t.plan, c.form) AS origin_id, c.name
FROM person c LEFT JOIN org o ON o.id = c.org_id LEFT JOIN team t ON t.team_id = c.team_id;

-- UNION ALL
SELECT c.id, 'form' AS origin_kind, c.form AS origin_id, c.name FROM person c WHERE c.ok
UNION ALL
SELECT g.id, 'form' AS origin_kind, o.plan, g.name FROM guest g LEFT JOIN org o ON o.id = g.org_id;

-- DISTINCT ON
SELECT DISTINCT ON (c.id) c.id, 'form' AS origin_kind, b.level AS origin_id, c.name
FROM person c LEFT JOIN badge b ON b.person_id = c.id ORDER BY c.id, b.level;

-- EXISTS in CASE
SELECT c.id, 'form' AS origin_kind, CASE
    WHEN EXISTS (SELECT FROM badge b WHERE b.person_id = c.id AND b.level > 1) THEN 1
    WHEN EXISTS (SELECT FROM org o WHERE o.id = c.org_id AND o.plan = 2) THEN 2
    END AS origin_id, c.name
FROM person c;

-- aggregates
SELECT c.id, 'form' AS origin_kind, count(b.level) FILTER (WHERE b.level > 1)::int AS origin_id, c.name
FROM person c LEFT JOIN badge b ON b.person_id = c.id GROUP BY c.id HAVING bool_and(b.level IS DISTINCT FROM 3);

-- grouped subquery
SELECT c.id, 'form' AS origin_kind, g.most AS origin_id, c.name
FROM person c LEFT JOIN (SELECT b.person_id, max(b.level) AS most FROM badge b GROUP BY b.person_id) g
ON g.person_id = c.id AND c.ok;

-- USING
SELECT p.id, 'form' AS origin_kind, t.plan AS origin_id, p.name FROM person p LEFT JOIN team t USING (team_id);

-- NATURAL
SELECT p.id, 'form' AS origin_kind, t.plan AS origin_id, p.name FROM person p NATURAL LEFT JOIN team t;

-- views over views
SELECT a.id, 'form' AS origin_kind, a.plan AS origin_id, a.name FROM active a;

-- joined view
SELECT c.id, 'form' AS origin_kind, a.plan AS origin_id, c.name FROM person c LEFT JOIN active a ON a.id = c.id AND c.form > 1;

-- cast in a condition
SELECT c.id, 'form' AS origin_kind, c.form AS origin_id, c.name
FROM person c LEFT JOIN (SELECT o.id, o.plan::text AS plan FROM org o) x ON x.id = c.org_id
WHERE x.plan::integer > 1 AND c.ok;

-- table without a key
SELECT c.id, 'form' AS origin_kind, c.form AS origin_id, c.name, (SELECT string_agg(b.note->>'a', ',' ORDER BY b.note->>'a')
    FROM badge b WHERE b.person_id = c.id) AS city
FROM person c WHERE EXISTS (SELECT FROM badge b WHERE b.person_id = c.id AND b.note IS NOT NULL);

-- window
SELECT c.id, 'form' AS origin_kind, x.level AS origin_id, c.name
FROM person c LEFT JOIN (
    SELECT b.person_id, b.level, row_number() OVER (PARTITION BY b.person_id ORDER BY b.level, b.note::text) AS place
    FROM badge b
) x ON x.person_id = c.id AND x.place = 1;

-- = ANY
SELECT c.id, 'form' AS origin_kind, c.form AS origin_id, c.name
FROM person c WHERE c.id = ANY (SELECT b.person_id FROM badge b WHERE b.level > 1);

-- ARRAY
SELECT c.id, 'form' AS origin_kind, c.form AS origin_id, c.name
FROM person c WHERE c.id = ANY (ARRAY(SELECT b.person_id FROM badge b WHERE b.level > 1));

-- rows
SELECT c.id, 'form' AS origin_kind, c.form AS origin_id, c.name
FROM person c WHERE (c.id, 2) IN (SELECT b.person_id, b.level FROM badge b);

-- rows as JSON
SELECT c.id, 'form' AS origin_kind, c.form AS origin_id, to_jsonb(c)::text AS name
FROM person c WHERE to_jsonb(c)->>'ok' = 'true';

-- composite
SELECT c.id, 'form' AS origin_kind, c.form AS origin_id, c.name, c AS city FROM person c
WHERE c.id = ANY (ARRAY(SELECT b.person_id FROM badge b WHERE b.level > 1));

-- part of a composite
SELECT c.id, 'form' AS origin_kind, (c.r).plan AS origin_id, c.name FROM (
    SELECT p.id, p.name, o AS r FROM person p LEFT JOIN org o ON o.id = p.org_id
) c;

-- cast key
SELECT c.id, 'form' AS origin_kind, o.plan AS origin_id, c.name FROM person c LEFT JOIN org o ON o.name = c.id::text;

-- cast on the way
SELECT c.id, 'form' AS origin_kind, c.form AS origin_id, c.name, o.name AS city
FROM person c LEFT JOIN org o ON o.name::numeric = c.id::numeric;

-- rows in a subquery
SELECT c.id, 'form' AS origin_kind, c.form AS origin_id, (SELECT max(o::text) FROM org o WHERE o.id = c.org_id) AS name
FROM person c;

-- VALUES
SELECT c.id, 'form' AS origin_kind, v.no AS origin_id, c.name
FROM person c LEFT JOIN (VALUES (1, 3), (2, 4)) v (plan, no) ON v.plan = c.form AND c.ok;

-- function
SELECT c.id, 'form' AS origin_kind, f.no AS origin_id, c.name
FROM person c LEFT JOIN generate_series(1, 2) f (no) ON f.no = c.form AND c.ok;

-- EXCEPT
SELECT c.id, 'form' AS origin_kind, c.form AS origin_id, c.name
FROM person c JOIN (SELECT p.id FROM person p EXCEPT SELECT b.person_id FROM badge b WHERE b.level > 1) x ON x.id = c.id;

-- INTERSECT
SELECT c.id, 'form' AS origin_kind, c.form AS origin_id, c.name
FROM person c JOIN (SELECT p.id FROM person p INTERSECT SELECT b.person_id FROM badge b WHERE b.level > 1) x
ON x.id = c.id;

-- nested subqueries
-- refused: public.team: no equality leads
SELECT c.id, 'form' AS origin_kind,
    (SELECT max(t.plan) FROM team t WHERE t.org_id = (SELECT o.parent_id FROM org o WHERE o.id = c.org_id)) AS origin_id,
    c.name
FROM person c;

-- UNION ALL inside
-- refused: public.org: no equality leads
SELECT u.id, 'form' AS origin_kind, o.plan AS origin_id, u.name
FROM (SELECT c.id, c.org_id, c.name FROM person c UNION ALL SELECT g.id, g.org_id, g.name FROM guest g) u
LEFT JOIN org o ON o.id = u.org_id;

-- alias of a join
-- refused: j.id: it is not known of which table
SELECT j.id, 'form' AS origin_kind, j.plan AS origin_id, j.name
FROM (person p LEFT JOIN team t ON t.team_id = p.team_id) AS j (id, org_id, a, name, ok, form, b, c, plan);

-- alias of USING
-- refused: cannot be read as SQL
SELECT p.id, 'form' AS origin_kind, t.plan AS origin_id, p.name FROM person p JOIN team t USING (team_id) AS j WHERE j.team_id > 1;

-- ONLY
-- refused: FROM ONLY person cannot be watched: leave ONLY out
SELECT c.id, 'form' AS origin_kind, o.plan AS origin_id, c.name FROM ONLY person c LEFT JOIN ONLY org o ON o.id = c.org_id;

-- system column
-- refused: public.person.ctid is a system column
SELECT c.id, 'form' AS origin_kind, c.form AS origin_id, c.name FROM person c WHERE c.ctid::text <> '';

-- IN as a value
-- refused: write it as EXISTS
SELECT c.id, 'form' AS origin_kind, c.form AS origin_id, (c.id IN (SELECT b.person_id FROM badge b))::text AS name
FROM person c;

-- NOT over IN
-- refused: write it as NOT EXISTS
SELECT c.id, 'form' AS origin_kind, c.form AS origin_id, c.name
FROM person c WHERE NOT (c.ok AND c.id IN (SELECT b.person_id FROM badge b));

-- TABLESAMPLE
-- refused: TABLESAMPLE of person cannot be watched
SELECT c.id, 'form' AS origin_kind, c.form AS origin_id, c.name FROM person c TABLESAMPLE bernoulli (50) REPEATABLE (1);

-- FOR UPDATE
-- refused: FOR UPDATE and the like cannot be watched
SELECT c.id, 'form' AS origin_kind, c.form AS origin_id, c.name FROM person c FOR UPDATE;

-- set of rows
-- refused: public.badge: no equality leads
SELECT c.id, 'form' AS origin_kind, c.form AS origin_id, c.name
FROM person c WHERE EXISTS (
    SELECT FROM (SELECT unnest(ARRAY[b.person_id, b.level]) AS id FROM badge b) x WHERE x.id = c.id
);

-- names of columns
-- refused: p: an alias with names of columns cannot be watched
SELECT p.number AS id, 'form' AS origin_kind, p.number AS origin_id, p.b AS name FROM person p (number, a, b);

-- elements of JSON
SELECT c.id, 'form' AS origin_kind, c.form AS origin_id, c.name, (
    SELECT string_agg(e.value ->> 'a', ',') FROM badge b, LATERAL (SELECT to_jsonb(b.note) AS value) e
    WHERE b.person_id = c.id AND b.level > 1
) AS city
FROM person c;

-- optional in optional subquery
SELECT c.id, 'form' AS origin_kind, coalesce(x.plan, y.most, 1) AS origin_id, c.name
FROM person c
LEFT JOIN (SELECT t.team_id, o.plan FROM team t LEFT JOIN org o ON o.id = t.org_id) x ON x.team_id = c.team_id
LEFT JOIN LATERAL (SELECT max(b.level) AS most FROM badge b WHERE b.person_id = c.id) y ON x.plan IS NULL;

-- condition on a value of a value
SELECT c.id, CASE WHEN o.id IS NULL THEN 'api' ELSE 'form' END AS origin_kind, coalesce(t.plan, 0) AS origin_id, c.name
FROM person c LEFT JOIN org o ON o.id = c.org_id LEFT JOIN team t ON t.team_id = c.team_id AND t.org_id = o.id
WHERE (o.parent_id, c.ok) IS DISTINCT FROM (1, true);

-- own table joined to itself
SELECT c.id, 'form' AS origin_kind, p.form AS origin_id, c.name, p.name AS city
FROM person c LEFT JOIN person p ON p.id = c.team_id AND p.ok;

-- DISTINCT subquery
SELECT c.id, 'form' AS origin_kind, (x.person_id IS NOT NULL)::int AS origin_id, c.name
FROM person c LEFT JOIN (SELECT DISTINCT b.person_id FROM badge b WHERE b.note ->> 'a' = '1') x ON x.person_id = c.id;

-- UNION of a join
SELECT c.id, 'form' AS origin_kind, o.plan AS origin_id, c.name FROM person c LEFT JOIN org o ON o.id = c.org_id WHERE c.ok
UNION
SELECT g.id, 'form', t.plan, g.name FROM guest g LEFT JOIN team t ON t.team_id = g.org_id AND g.name > 'c';

-- CTE
WITH best AS (SELECT b.person_id, max(b.level) AS level FROM badge b GROUP BY b.person_id)
SELECT c.id, 'form' AS origin_kind, b.level AS origin_id, c.name FROM person c LEFT JOIN best b ON b.person_id = c.id AND c.ok;
