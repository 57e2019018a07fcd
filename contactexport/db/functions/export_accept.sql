-- For servers of an older version, which know no ids of requests.
CREATE OR REPLACE FUNCTION {schema}.export_accept(
    wanted jsonb, wanted_key bigint, secret bytea, suffix text, requester text, requester_team text,
    lock_wait text, waited_seconds double precision, most_unfinished integer,
    OUT outcome text, OUT id bigint
) LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    SELECT a.outcome, a.id INTO outcome, id
    FROM {schema}.export_accept_request(
        wanted, wanted_key, secret, suffix, requester, requester_team, lock_wait, waited_seconds, most_unfinished, NULL
    ) AS a;
END $$;
