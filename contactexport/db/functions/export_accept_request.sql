-- Accepts an export, or says why not, in one round trip. Every refusal comes before the row. Requests of one setting queue
-- up, and so do requests of one user.
CREATE OR REPLACE FUNCTION {schema}.export_accept_request(
    wanted jsonb, wanted_key bigint, secret bytea, suffix text, requester text, requester_team text,
    lock_wait text, waited_seconds double precision, most_unfinished integer, request text,
    OUT outcome text, OUT id bigint
) LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    outcome := 'already running';
    IF EXISTS (
        SELECT FROM {schema}.export AS e WHERE e.setting_key = wanted_key AND e.status IN ('scheduled', 'in progress', 'ready')
    ) THEN
        RETURN;
    END IF;
    PERFORM set_config('lock_timeout', lock_wait, true);
    IF NOT pg_try_advisory_xact_lock(wanted_key) THEN
        BEGIN
            PERFORM pg_advisory_xact_lock(wanted_key);
        EXCEPTION WHEN lock_not_available THEN
            RETURN;
        END;
    END IF;
    -- One that was running when the request arrived refuses it, too.
    waited_seconds := waited_seconds + extract(epoch FROM clock_timestamp() - statement_timestamp());
    IF EXISTS (
        SELECT FROM {schema}.export AS e
        WHERE e.setting_key = wanted_key
          AND e.finished_at > clock_timestamp() - make_interval(secs => waited_seconds)
    ) THEN
        RETURN;
    END IF;
    IF most_unfinished IS NOT NULL THEN
        -- Two 32-bit numbers, apart from setting keys, which are single 64-bit ones.
        PERFORM pg_advisory_xact_lock(hashtext('contactexport user'), hashtext(requester));
        IF EXISTS (
            SELECT FROM {schema}.export AS e
            WHERE e.created_by = requester AND e.finished_at IS NULL AND e.feed_id IS NULL OFFSET most_unfinished - 1
        ) THEN
            outcome := 'too many';
            RETURN;
        END IF;
    END IF;
    outcome := 'accepted';
    id := nextval({id_sequence}::regclass);
    -- The optimistic published_at is taken back when publishing fails. Not earlier than due_at: that would be one to sweep.
    INSERT INTO {schema}.export (
        id, settings, setting_key, ftp_secret, file_name, created_by, team, due_at, published_at, request_id
    ) OVERRIDING SYSTEM VALUE
    VALUES (
        id, wanted, wanted_key, secret,
        coalesce(wanted ->> 'type', 'changes') || '_' || id || '_' || (wanted ->> 'language') || '-' || suffix || '.csv',
        requester, requester_team, statement_timestamp(), statement_timestamp(), request
    );
END $$;
