-- A database as version 0009 of the schema has made it, with a few rows in each table: the dump of version 0005, upgraded.
-- pg_dump --inserts --no-owner of Postgres 18, without the lines that only psql or Postgres 17 understand.
--
-- PostgreSQL database dump
--

-- Dumped from database version 18.4
-- Dumped by pg_dump version 18.4

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

--
-- Name: catalogue_changed(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.catalogue_changed() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    UPDATE "public".catalogue_version AS v SET version = v.version + 1;
    RETURN NULL;
END $$;

--
-- Name: contact_change_months(date, date); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.contact_change_months(first_month date, last_month date) RETURNS integer
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
DECLARE
    month_start timestamptz;
    month_end timestamptz;
    partition_name text;
    made integer := 0;
BEGIN
    FOR month_start, month_end IN
        SELECT m AT TIME ZONE 'UTC', (m + interval '1 month') AT TIME ZONE 'UTC' FROM generate_series(
            date_trunc('month', first_month::timestamp), date_trunc('month', last_month::timestamp), interval '1 month'
        ) AS m
    LOOP
        partition_name := 'contact_change_' || to_char(month_start AT TIME ZONE 'UTC', 'YYYY_MM');
        CONTINUE WHEN to_regclass(format('%I.%I', 'public', partition_name)) IS NOT NULL;
        CONTINUE WHEN EXISTS (
            SELECT FROM "public".contact_change_other AS o WHERE o.changed_at >= month_start AND o.changed_at < month_end
        );
        EXECUTE format(
            'CREATE TABLE %1$I.%2$I (LIKE %1$I.contact_change INCLUDING ALL)', 'public', partition_name
        );
        EXECUTE format(
            'ALTER TABLE %1$I.contact_change ATTACH PARTITION %1$I.%2$I FOR VALUES FROM (%3$L) TO (%4$L)',
            'public', partition_name, month_start, month_end
        );
        made := made + 1;
    END LOOP;
    RETURN made;
END $_$;

--
-- Name: contact_change_time(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.contact_change_time() RETURNS timestamp with time zone
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    clock timestamptz := greatest(clock_timestamp(), now());
    last_read timestamptz :=
        'epoch'::timestamptz + pg_sequence_last_value('"public"."contact_change_read"'::regclass) * interval '1 us';
BEGIN
    RETURN CASE WHEN last_read > clock AND last_read < clock + interval '1 day' THEN last_read ELSE clock END;
END $$;

--
-- Name: contact_change_window_end(timestamp with time zone); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.contact_change_window_end(wanted timestamp with time zone) RETURNS timestamp with time zone
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    clock timestamptz;
    microseconds bigint;
    last_read bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('contactexport window'), 0);  -- two at once could take the reading back
    clock := clock_timestamp();
    microseconds := ceil(extract(epoch FROM clock) * 1000000);
    last_read := coalesce(pg_sequence_last_value('"public"."contact_change_read"'::regclass), 0);
    IF microseconds > last_read OR last_read >= microseconds + 86400000000 THEN
        PERFORM setval('"public"."contact_change_read"'::regclass, microseconds);
    END IF;
    RETURN least(wanted, clock);
END $$;

--
-- Name: contact_column_told(oid, jsonb, jsonb); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.contact_column_told(relation oid, old_row jsonb, new_row jsonb) RETURNS text
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    SELECT a.attname::text FROM pg_attribute AS a
    WHERE a.attrelid = relation AND a.attnum > 0 AND NOT a.attisdropped
      AND new_row -> a.attname::text <> old_row -> a.attname::text
      AND a.atttypid IN (
          'text'::regtype, 'varchar'::regtype, 'smallint'::regtype, 'integer'::regtype, 'bigint'::regtype,
          'numeric'::regtype, 'boolean'::regtype, 'date'::regtype, 'timestamp'::regtype, 'timestamptz'::regtype
      )
    ORDER BY a.attnum LIMIT 1
$$;

--
-- Name: contact_log_insert(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.contact_log_insert() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    INSERT INTO "public".contact_change (contact_id, origin_kind, origin_id, changed_at, kind)
    SELECT n.id, n.origin_kind, n.origin_id, (SELECT "public".contact_change_time()), 'c' FROM new_contact AS n;
    RETURN NULL;
END $$;

--
-- Name: contact_log_update(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.contact_log_update() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
DECLARE
    nestloop text;
    told text;
    all_changed boolean := false;
BEGIN
    INSERT INTO "public".contact_change (contact_id, origin_kind, origin_id, changed_at, kind)
    SELECT n.id, n.origin_kind, n.origin_id, (SELECT "public".contact_change_time()),
           CASE WHEN n.id = o.id THEN 'u' ELSE 'c' END::"char"
    FROM new_contact AS n, old_contact AS o
    WHERE NOT EXISTS (SELECT FROM new_contact OFFSET 1) AND n.* *<> o.*;
    IF FOUND THEN
        RETURN NULL;
    END IF;
    nestloop := current_setting('enable_nestloop');
    PERFORM set_config('enable_nestloop', 'off', true);
    IF EXISTS (SELECT FROM new_contact OFFSET 100) THEN
        told := "public".contact_column_told(
            TG_RELID, (SELECT to_jsonb(o.*) FROM old_contact AS o LIMIT 1),
            (SELECT to_jsonb(n.*) FROM new_contact AS n LIMIT 1)
        );
        IF told IS NOT NULL THEN
            -- Most updates of many rows set a column to one value and leave the ids. Then no row has to be looked for by
            -- its id: that the ids are the same ones is told by the sum of their hashes.
            EXECUTE format(
                'SELECT (NOT EXISTS (SELECT FROM new_contact AS n WHERE n.%1$I IS DISTINCT FROM (%2$s))'
                ' AND NOT EXISTS (SELECT FROM old_contact AS o WHERE o.%1$I IS NOT DISTINCT FROM (%2$s))'
                ' OR NOT EXISTS (SELECT FROM new_contact AS n JOIN old_contact AS o ON o.id = n.id'
                ' WHERE n.%1$I IS NOT DISTINCT FROM o.%1$I))'
                ' AND (SELECT sum(hashint8extended(n.id, 0)) FROM new_contact AS n)'
                ' = (SELECT sum(hashint8extended(o.id, 0)) FROM old_contact AS o)',
                told, format('SELECT n.%I FROM new_contact AS n LIMIT 1', told)
            ) INTO all_changed;
        END IF;
    END IF;
    IF all_changed THEN
        INSERT INTO "public".contact_change (contact_id, origin_kind, origin_id, changed_at, kind)
        SELECT n.id, n.origin_kind, n.origin_id, (SELECT "public".contact_change_time()), 'u' FROM new_contact AS n;
    ELSE
        INSERT INTO "public".contact_change (contact_id, origin_kind, origin_id, changed_at, kind)
        SELECT n.id, n.origin_kind, n.origin_id, (SELECT "public".contact_change_time()),
               CASE WHEN o.id IS NULL THEN 'c' ELSE 'u' END::"char"
        FROM new_contact AS n LEFT JOIN old_contact AS o ON o.id = n.id
        WHERE o.id IS NULL OR n.* *<> o.*;
    END IF;
    PERFORM set_config('enable_nestloop', nestloop, true);
    RETURN NULL;
END $_$;

--
-- Name: export_accept(jsonb, bigint, bytea, text, text, text, text, double precision, integer); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.export_accept(wanted jsonb, wanted_key bigint, secret bytea, suffix text, requester text, requester_team text, lock_wait text, waited_seconds double precision, most_unfinished integer, OUT outcome text, OUT id bigint) RETURNS record
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    outcome := 'already running';
    IF EXISTS (
        SELECT FROM "public".export AS e WHERE e.setting_key = wanted_key AND e.status IN ('scheduled', 'in progress', 'ready')
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
        SELECT FROM "public".export AS e
        WHERE e.setting_key = wanted_key
          AND e.finished_at > clock_timestamp() - make_interval(secs => waited_seconds)
    ) THEN
        RETURN;
    END IF;
    IF most_unfinished IS NOT NULL THEN
        -- Two 32-bit numbers, apart from setting keys, which are single 64-bit ones.
        PERFORM pg_advisory_xact_lock(hashtext('contactexport user'), hashtext(requester));
        IF EXISTS (
            SELECT FROM "public".export AS e WHERE e.created_by = requester AND e.finished_at IS NULL OFFSET most_unfinished - 1
        ) THEN
            outcome := 'too many';
            RETURN;
        END IF;
    END IF;
    outcome := 'accepted';
    id := nextval('"public"."export_id_seq"'::regclass);
    -- The optimistic published_at is taken back when publishing fails. Not earlier than due_at: that would be one to sweep.
    INSERT INTO "public".export (id, settings, setting_key, ftp_secret, file_name, created_by, team, due_at, published_at)
    OVERRIDING SYSTEM VALUE
    VALUES (
        id, wanted, wanted_key, secret,
        coalesce(wanted ->> 'type', 'changes') || '_' || id || '_' || (wanted ->> 'language') || '-' || suffix || '.csv',
        requester, requester_team, statement_timestamp(), statement_timestamp()
    );
END $$;

--
-- Name: export_deliveries(jsonb, integer, text); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.export_deliveries(deliveries jsonb, attempt integer, reply text) RETURNS jsonb
    LANGUAGE sql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    SELECT CASE
        WHEN reply IS NULL THEN deliveries
        ELSE CASE WHEN jsonb_array_length(deliveries) < 50 THEN deliveries ELSE deliveries - 0 END
            || jsonb_build_object('attempt', attempt, 'at', clock_timestamp(), 'reply', reply)
    END
$$;

SET default_tablespace = '';

SET default_table_access_method = heap;

--
-- Name: access_token; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.access_token (
    token_hash bytea NOT NULL,
    user_id bigint NOT NULL,
    expires_at timestamp with time zone NOT NULL
);

--
-- Name: api_user; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.api_user (
    id bigint NOT NULL,
    name text NOT NULL,
    wsse_secret bytea,
    token_hash bytea,
    token_expires_at timestamp with time zone,
    replay text DEFAULT 'strict'::text NOT NULL,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    revoked_at timestamp with time zone,
    team text DEFAULT 'default'::text NOT NULL,
    operator boolean DEFAULT false NOT NULL,
    compatible boolean DEFAULT false NOT NULL,
    requests_per_minute integer,
    exports_per_user integer,
    client_id text,
    client_secret_hash bytea,
    CONSTRAINT api_user_check CHECK (((client_id IS NULL) = (client_secret_hash IS NULL))),
    CONSTRAINT api_user_exports_per_user_check CHECK ((exports_per_user > 0)),
    CONSTRAINT api_user_replay_check CHECK ((replay = ANY (ARRAY['strict'::text, 'off'::text]))),
    CONSTRAINT api_user_requests_per_minute_check CHECK ((requests_per_minute > 0))
);

--
-- Name: api_user_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

ALTER TABLE public.api_user ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.api_user_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

--
-- Name: catalogue_version; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.catalogue_version (
    version bigint NOT NULL
);

--
-- Name: contact; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.contact (
    id bigint NOT NULL,
    origin_kind text DEFAULT 'api'::text NOT NULL,
    origin_id integer DEFAULT 0 NOT NULL,
    interests integer[],
    first_name text,
    last_name text,
    email text,
    date_of_birth date,
    gender integer,
    marital_status integer,
    children integer,
    education integer,
    title integer,
    address text,
    city text,
    state text,
    zip_code text,
    country integer,
    phone text,
    fax text,
    job_position integer,
    company text,
    department integer,
    industry integer,
    phone_office text,
    fax_office text,
    number_of_employees integer,
    annual_revenue integer,
    url text,
    preferred_email_format integer,
    avg_length_of_visit numeric,
    page_views_per_day numeric,
    days_since_last_email integer,
    response_rate numeric,
    opt_in integer,
    user_status integer,
    contact_source integer,
    contact_form integer,
    registration_language integer,
    newsletter integer,
    mobile text,
    first_name_of_partner text,
    birthdate_of_partner date,
    anniversary date,
    company_address text,
    zip_code_office text,
    city_office text,
    state_office text,
    country_office integer,
    salutation integer,
    email_valid integer,
    registration_date date,
    CONSTRAINT contact_origin_kind_check CHECK ((origin_kind = ANY (ARRAY['form'::text, 'api'::text])))
);

--
-- Name: contact_change; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.contact_change (
    contact_id bigint NOT NULL,
    origin_kind text NOT NULL,
    origin_id integer NOT NULL,
    changed_at timestamp with time zone NOT NULL,
    kind "char"
)
PARTITION BY RANGE (changed_at);

--
-- Name: contact_change_2012_02; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.contact_change_2012_02 (
    contact_id bigint CONSTRAINT contact_change_contact_id_not_null NOT NULL,
    origin_kind text CONSTRAINT contact_change_origin_kind_not_null NOT NULL,
    origin_id integer CONSTRAINT contact_change_origin_id_not_null NOT NULL,
    changed_at timestamp with time zone CONSTRAINT contact_change_changed_at_not_null NOT NULL,
    kind "char"
);

--
-- Name: contact_change_2012_03; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.contact_change_2012_03 (
    contact_id bigint CONSTRAINT contact_change_contact_id_not_null NOT NULL,
    origin_kind text CONSTRAINT contact_change_origin_kind_not_null NOT NULL,
    origin_id integer CONSTRAINT contact_change_origin_id_not_null NOT NULL,
    changed_at timestamp with time zone CONSTRAINT contact_change_changed_at_not_null NOT NULL,
    kind "char"
);

--
-- Name: contact_change_other; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.contact_change_other (
    contact_id bigint CONSTRAINT contact_change_contact_id_not_null NOT NULL,
    origin_kind text CONSTRAINT contact_change_origin_kind_not_null NOT NULL,
    origin_id integer CONSTRAINT contact_change_origin_id_not_null NOT NULL,
    changed_at timestamp with time zone CONSTRAINT contact_change_changed_at_not_null NOT NULL,
    kind "char"
);

--
-- Name: contact_change_read; Type: SEQUENCE; Schema: public; Owner: -
--

CREATE SEQUENCE public.contact_change_read
    START WITH 0
    INCREMENT BY 1
    MINVALUE 0
    NO MAXVALUE
    CACHE 1;

--
-- Name: contact_field; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.contact_field (
    id integer NOT NULL,
    name text NOT NULL,
    application_type text NOT NULL,
    column_name text NOT NULL,
    exportable boolean DEFAULT true NOT NULL,
    names jsonb DEFAULT '{}'::jsonb NOT NULL
);

--
-- Name: contact_field_choice; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.contact_field_choice (
    field_id integer NOT NULL,
    id integer NOT NULL,
    labels jsonb DEFAULT '{}'::jsonb NOT NULL
);

--
-- Name: contact_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

ALTER TABLE public.contact ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.contact_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

--
-- Name: contact_log_horizon; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.contact_log_horizon (
    complete_from timestamp with time zone
);

--
-- Name: contactexport_checksum; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.contactexport_checksum (
    version text NOT NULL,
    sha256 text NOT NULL,
    recorded_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);

--
-- Name: contactexport_version; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.contactexport_version (
    version_num character varying(32) NOT NULL
);

--
-- Name: export; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.export (
    id bigint NOT NULL,
    settings jsonb NOT NULL,
    setting_key bigint NOT NULL,
    ftp_secret bytea,
    status text DEFAULT 'scheduled'::text NOT NULL,
    attempt integer DEFAULT 0 NOT NULL,
    run_attempts integer DEFAULT 0 NOT NULL,
    delivery_attempts integer DEFAULT 0 NOT NULL,
    permanent_failures integer DEFAULT 0 NOT NULL,
    deliveries jsonb DEFAULT '[]'::jsonb NOT NULL,
    due_at timestamp with time zone DEFAULT clock_timestamp(),
    published_at timestamp with time zone,
    rows bigint,
    rows_expected bigint,
    bytes bigint,
    sha256 text,
    file_name text NOT NULL,
    file_deleted_at timestamp with time zone,
    error text,
    effective_until timestamp with time zone,
    created_by text NOT NULL,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    started_at timestamp with time zone,
    ready_at timestamp with time zone,
    finished_at timestamp with time zone,
    notify_due_at timestamp with time zone,
    notify_attempts integer DEFAULT 0 NOT NULL,
    notified_at timestamp with time zone,
    notify_error text,
    team text DEFAULT 'default'::text NOT NULL,
    writers_since timestamp with time zone,
    complete_from timestamp with time zone,
    notify_secret bytea,
    claimed_at timestamp with time zone,
    CONSTRAINT export_check CHECK (((status = ANY (ARRAY['done'::text, 'error'::text])) = (due_at IS NULL))),
    CONSTRAINT export_check1 CHECK (((finished_at IS NULL) = (due_at IS NOT NULL))),
    CONSTRAINT export_check2 CHECK (((status = ANY (ARRAY['done'::text, 'error'::text])) OR (notify_due_at IS NULL))),
    CONSTRAINT export_status_check CHECK ((status = ANY (ARRAY['scheduled'::text, 'in progress'::text, 'ready'::text, 'done'::text, 'error'::text])))
);

--
-- Name: export_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

ALTER TABLE public.export ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.export_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

--
-- Name: export_row_mark; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.export_row_mark (
    export_id bigint NOT NULL,
    marks bytea NOT NULL
);

--
-- Name: ftp_host_trait; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.ftp_host_trait (
    host text NOT NULL,
    port integer NOT NULL,
    username text NOT NULL,
    trait text NOT NULL,
    told text NOT NULL,
    temporary_name text NOT NULL,
    learned_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);

--
-- Name: installation; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.installation (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    key_fingerprint text,
    storage_marked boolean DEFAULT false NOT NULL,
    only_row boolean DEFAULT true NOT NULL,
    CONSTRAINT installation_only_row_check CHECK (only_row)
);

--
-- Name: origin; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.origin (
    kind text NOT NULL,
    id integer NOT NULL,
    name text NOT NULL,
    CONSTRAINT origin_kind_check CHECK ((kind = ANY (ARRAY['form'::text, 'api'::text])))
);

--
-- Name: request_count; Type: TABLE; Schema: public; Owner: -
--

CREATE UNLOGGED TABLE public.request_count (
    user_name text NOT NULL,
    minute timestamp with time zone NOT NULL,
    requests integer NOT NULL
);

--
-- Name: wsse_nonce; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.wsse_nonce (
    user_id bigint NOT NULL,
    nonce text NOT NULL,
    created text NOT NULL,
    seen_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);

--
-- Name: contact_change_2012_02; Type: TABLE ATTACH; Schema: public; Owner: -
--

ALTER TABLE ONLY public.contact_change ATTACH PARTITION public.contact_change_2012_02 FOR VALUES FROM ('2012-02-01 00:00:00+00') TO ('2012-03-01 00:00:00+00');

--
-- Name: contact_change_2012_03; Type: TABLE ATTACH; Schema: public; Owner: -
--

ALTER TABLE ONLY public.contact_change ATTACH PARTITION public.contact_change_2012_03 FOR VALUES FROM ('2012-03-01 00:00:00+00') TO ('2012-04-01 00:00:00+00');

--
-- Name: contact_change_other; Type: TABLE ATTACH; Schema: public; Owner: -
--

ALTER TABLE ONLY public.contact_change ATTACH PARTITION public.contact_change_other DEFAULT;

--
-- Data for Name: access_token; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.access_token VALUES ('\x04', 3, '2012-04-02 13:00:00+00');

--
-- Data for Name: api_user; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.api_user OVERRIDING SYSTEM VALUE VALUES (1, 'anna', '\x01', NULL, NULL, 'off', '2012-01-01 00:00:00+00', NULL, 'default', false, false, NULL, NULL, NULL, NULL);
INSERT INTO public.api_user OVERRIDING SYSTEM VALUE VALUES (2, 'bert', NULL, '\x02', '2030-01-01 00:00:00+00', 'strict', '2012-01-01 00:00:00+00', NULL, 'shop', true, false, 50, NULL, NULL, NULL);
INSERT INTO public.api_user OVERRIDING SYSTEM VALUE VALUES (3, 'carl', NULL, NULL, NULL, 'strict', '2012-01-01 00:00:00+00', NULL, 'default', false, true, NULL, 7, 'ci_1', '\x03');

--
-- Data for Name: catalogue_version; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.catalogue_version VALUES (4);

--
-- Data for Name: contact; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.contact VALUES (2, 'form', 123, NULL, 'Bert', NULL, 'bert@example.com', NULL, 1, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.contact VALUES (3, 'form', 124, NULL, 'Cora', NULL, 'cora@example.com', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.contact VALUES (4, 'api', 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.contact VALUES (1, 'form', 123, NULL, 'Änne "x"', NULL, 'anna@example.com', NULL, 2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.contact VALUES (5, 'form', 123, NULL, 'Dora', NULL, 'dora@example.com', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);

--
-- Data for Name: contact_change_2012_02; Type: TABLE DATA; Schema: public; Owner: -
--

--
-- Data for Name: contact_change_2012_03; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.contact_change_2012_03 VALUES (1, 'form', 123, '2012-03-01 12:00:00+00', NULL);
INSERT INTO public.contact_change_2012_03 VALUES (2, 'form', 123, '2012-03-05 12:00:00+00', NULL);
INSERT INTO public.contact_change_2012_03 VALUES (5, 'form', 123, '2012-03-06 12:00:00+00', 'c');
INSERT INTO public.contact_change_2012_03 VALUES (2, 'form', 123, '2012-03-07 12:00:00+00', 'u');

--
-- Data for Name: contact_change_other; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.contact_change_other VALUES (1, 'form', 123, '2012-01-15 12:00:00+00', NULL);
INSERT INTO public.contact_change_other VALUES (2, 'form', 123, '2012-01-15 12:00:00+00', NULL);
INSERT INTO public.contact_change_other VALUES (3, 'form', 124, '2012-01-15 12:00:00+00', NULL);
INSERT INTO public.contact_change_other VALUES (4, 'api', 0, '2012-01-15 12:00:00+00', NULL);
INSERT INTO public.contact_change_other VALUES (1, 'form', 123, '2012-01-15 12:00:00+00', NULL);

--
-- Data for Name: contact_field; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.contact_field VALUES (1, 'First Name', 'shorttext', 'first_name', true, '{"de": "Vorname", "en": "First Name"}');
INSERT INTO public.contact_field VALUES (3, 'E-Mail', 'longtext', 'email', true, '{"en": "E-Mail"}');
INSERT INTO public.contact_field VALUES (5, 'Gender', 'singlechoice', 'gender', true, '{"en": "Gender"}');
INSERT INTO public.contact_field VALUES (27, 'Response Rate', 'numeric', 'response_rate', false, '{"en": "Response Rate"}');

--
-- Data for Name: contact_field_choice; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.contact_field_choice VALUES (5, 1, '{"en": "Male"}');
INSERT INTO public.contact_field_choice VALUES (5, 2, '{"en": "Female"}');

--
-- Data for Name: contact_log_horizon; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.contact_log_horizon VALUES ('2012-01-01 00:00:00+00');

--
-- Data for Name: contactexport_checksum; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.contactexport_checksum VALUES ('0001', '283b2e05340d47270dacc6f8dfa3e4a36045e097bc44fd1dcea29054e8cddc47', '2026-11-01 12:00:00+00');
INSERT INTO public.contactexport_checksum VALUES ('0002', 'cfc8b1ed07045707f49e90cf41db257a351e3785cbd2c47c05fdabe2ed345fe0', '2026-11-01 12:00:00+00');
INSERT INTO public.contactexport_checksum VALUES ('0003', 'c5d5b6694c4b02192b61ecb46dbcb7763fdf5669406f8c05884e29ddb9d4db83', '2026-11-01 12:00:00+00');
INSERT INTO public.contactexport_checksum VALUES ('0004', '4ae580def6ee4ce0b1e010f59c410d1ad7bdf009b7846cf2eeadbf64fc61c2bc', '2026-11-01 12:00:00+00');
INSERT INTO public.contactexport_checksum VALUES ('0005', '39e594e4a24f606d52f02aa84325e174dd24232d8e46c9061923f5bd4209480d', '2026-11-01 12:00:00+00');
INSERT INTO public.contactexport_checksum VALUES ('0006', '1d7f806ddc46e6a86c0b7793a95574e68d4bebfa6700c7e8f331081895dbdb69', '2026-11-01 12:00:00+00');
INSERT INTO public.contactexport_checksum VALUES ('0007', 'f19e4902a710fa4b8ac2c0cd8209b098bcd66ccc80af3311cf644b7d52591a54', '2026-11-01 12:00:00+00');
INSERT INTO public.contactexport_checksum VALUES ('0008', 'c2905ccb8d64217971eae870ee0b0d347957d772c76987025de2ea3abe6248f8', '2026-11-01 12:00:00+00');
INSERT INTO public.contactexport_checksum VALUES ('0009', '18c29f1b3b931195ea12064d1bbddedffcbba1fb6219d92129f49c01ced510fa', '2026-11-01 12:00:00+00');

--
-- Data for Name: contactexport_version; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.contactexport_version VALUES ('0009');

--
-- Data for Name: export; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.export OVERRIDING SYSTEM VALUE VALUES (1, '{"end": "2012-04-02T00:00:00+00:00", "ftp": null, "start": "2012-02-09T00:00:00+00:00", "header": true, "origin": "form", "language": "en", "delimiter": ",", "origin_ids": [123], "spreadsheet": false, "contact_fields": [1, 3], "notification_url": null, "distribution_method": "local"}', 8709670527029163495, NULL, 'done', 1, 0, 0, 0, '[{"at": "2012-04-02T12:00:00+00:00", "reply": "226", "attempt": 1}]', NULL, NULL, 2, NULL, 50, 'x', 'changes_1_en-abcdef.csv', NULL, NULL, NULL, 'anna', '2012-04-02 00:00:00+00', NULL, '2012-04-02 00:00:00+00', '2012-04-02 00:00:00+00', NULL, 0, NULL, NULL, 'shop', NULL, '2012-01-01 00:00:00+00', NULL, NULL);
INSERT INTO public.export OVERRIDING SYSTEM VALUE VALUES (2, '{"end": "2012-04-02T00:00:00+00:00", "ftp": null, "start": "2012-02-09T00:00:00+00:00", "header": true, "origin": "form", "language": "en", "delimiter": ",", "origin_ids": [123], "spreadsheet": false, "contact_fields": [1, 3], "notification_url": null, "distribution_method": "local"}', 8709670527029163495, NULL, 'scheduled', 0, 0, 0, 0, '[]', '2012-04-02 00:00:00+00', NULL, NULL, NULL, NULL, NULL, 'changes_2_en-abcdee.csv', NULL, NULL, NULL, 'anna', '2012-04-02 00:00:00+00', NULL, NULL, NULL, NULL, 0, NULL, NULL, 'default', '2012-04-02 00:00:00+00', NULL, NULL, NULL);

--
-- Data for Name: export_row_mark; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.export_row_mark VALUES (1, '\x00');

--
-- Data for Name: ftp_host_trait; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.ftp_host_trait VALUES ('ftp.example.com', 21, 'shop', 'no overwriting rename', '550 exists', '{name}.part', '2026-11-01 12:00:00+00');

--
-- Data for Name: installation; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.installation VALUES ('f2bc0be0-a522-4a53-b471-2bfd00294b28', NULL, false, true);

--
-- Data for Name: origin; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.origin VALUES ('form', 123, 'Newsletter');
INSERT INTO public.origin VALUES ('form', 124, 'Shop');
INSERT INTO public.origin VALUES ('api', 0, 'No source');

--
-- Data for Name: request_count; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.request_count VALUES ('anna', '2012-04-02 12:00:00+00', 3);

--
-- Data for Name: wsse_nonce; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.wsse_nonce VALUES (1, 'nonce', '2012-04-02T12:00:00Z', '2012-04-02 12:00:00+00');

--
-- Name: api_user_id_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.api_user_id_seq', 3, true);

--
-- Name: contact_change_read; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.contact_change_read', 1331553600000000, true);

--
-- Name: contact_id_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.contact_id_seq', 5, true);

--
-- Name: export_id_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.export_id_seq', 2, true);

--
-- Name: access_token access_token_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.access_token
    ADD CONSTRAINT access_token_pkey PRIMARY KEY (token_hash);

--
-- Name: api_user api_user_client_id_key; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.api_user
    ADD CONSTRAINT api_user_client_id_key UNIQUE (client_id);

--
-- Name: api_user api_user_name_key; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.api_user
    ADD CONSTRAINT api_user_name_key UNIQUE (name);

--
-- Name: api_user api_user_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.api_user
    ADD CONSTRAINT api_user_pkey PRIMARY KEY (id);

--
-- Name: api_user api_user_token_hash_key; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.api_user
    ADD CONSTRAINT api_user_token_hash_key UNIQUE (token_hash);

--
-- Name: contact_field_choice contact_field_choice_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.contact_field_choice
    ADD CONSTRAINT contact_field_choice_pkey PRIMARY KEY (field_id, id);

--
-- Name: contact_field contact_field_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.contact_field
    ADD CONSTRAINT contact_field_pkey PRIMARY KEY (id);

--
-- Name: contact contact_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.contact
    ADD CONSTRAINT contact_pkey PRIMARY KEY (id);

--
-- Name: contactexport_checksum contactexport_checksum_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.contactexport_checksum
    ADD CONSTRAINT contactexport_checksum_pkey PRIMARY KEY (version);

--
-- Name: contactexport_version contactexport_version_pkc; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.contactexport_version
    ADD CONSTRAINT contactexport_version_pkc PRIMARY KEY (version_num);

--
-- Name: export export_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.export
    ADD CONSTRAINT export_pkey PRIMARY KEY (id);

--
-- Name: export_row_mark export_row_mark_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.export_row_mark
    ADD CONSTRAINT export_row_mark_pkey PRIMARY KEY (export_id);

--
-- Name: ftp_host_trait ftp_host_trait_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.ftp_host_trait
    ADD CONSTRAINT ftp_host_trait_pkey PRIMARY KEY (host, port, username, trait);

--
-- Name: installation installation_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.installation
    ADD CONSTRAINT installation_pkey PRIMARY KEY (only_row);

--
-- Name: origin origin_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.origin
    ADD CONSTRAINT origin_pkey PRIMARY KEY (kind, id);

--
-- Name: request_count request_count_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.request_count
    ADD CONSTRAINT request_count_pkey PRIMARY KEY (user_name, minute);

--
-- Name: wsse_nonce wsse_nonce_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.wsse_nonce
    ADD CONSTRAINT wsse_nonce_pkey PRIMARY KEY (user_id, nonce, created);

--
-- Name: access_token_by_expiry; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX access_token_by_expiry ON public.access_token USING btree (expires_at);

--
-- Name: access_token_by_user; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX access_token_by_user ON public.access_token USING btree (user_id);

--
-- Name: contact_change_by_origin; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX contact_change_by_origin ON ONLY public.contact_change USING btree (origin_id, origin_kind, changed_at) INCLUDE (contact_id);

--
-- Name: contact_change_2012_02_origin_id_origin_kind_changed_at_con_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX contact_change_2012_02_origin_id_origin_kind_changed_at_con_idx ON public.contact_change_2012_02 USING btree (origin_id, origin_kind, changed_at) INCLUDE (contact_id);

--
-- Name: contact_change_2012_03_origin_id_origin_kind_changed_at_con_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX contact_change_2012_03_origin_id_origin_kind_changed_at_con_idx ON public.contact_change_2012_03 USING btree (origin_id, origin_kind, changed_at) INCLUDE (contact_id);

--
-- Name: contact_change_other_origin_id_origin_kind_changed_at_conta_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX contact_change_other_origin_id_origin_kind_changed_at_conta_idx ON public.contact_change_other USING btree (origin_id, origin_kind, changed_at) INCLUDE (contact_id);

--
-- Name: contact_email; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX contact_email ON public.contact USING btree (email);

--
-- Name: export_ended_setting; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX export_ended_setting ON public.export USING btree (setting_key, finished_at) WHERE (finished_at IS NOT NULL);

--
-- Name: export_file_kept; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX export_file_kept ON public.export USING btree (finished_at) WHERE ((file_deleted_at IS NULL) AND (due_at IS NULL));

--
-- Name: export_notification_due; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX export_notification_due ON public.export USING btree (notify_due_at) WHERE (notify_due_at IS NOT NULL);

--
-- Name: export_of_team; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX export_of_team ON public.export USING btree (team, id);

--
-- Name: export_of_user_claimed; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX export_of_user_claimed ON public.export USING btree (created_by, claimed_at);

--
-- Name: export_unfinished_by_user; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX export_unfinished_by_user ON public.export USING btree (created_by) WHERE (finished_at IS NULL);

--
-- Name: export_unfinished_setting; Type: INDEX; Schema: public; Owner: -
--

CREATE UNIQUE INDEX export_unfinished_setting ON public.export USING btree (setting_key) WHERE (status = ANY (ARRAY['scheduled'::text, 'in progress'::text, 'ready'::text]));

--
-- Name: wsse_nonce_by_age; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX wsse_nonce_by_age ON public.wsse_nonce USING btree (seen_at);

--
-- Name: contact_change_2012_02_origin_id_origin_kind_changed_at_con_idx; Type: INDEX ATTACH; Schema: public; Owner: -
--

ALTER INDEX public.contact_change_by_origin ATTACH PARTITION public.contact_change_2012_02_origin_id_origin_kind_changed_at_con_idx;

--
-- Name: contact_change_2012_03_origin_id_origin_kind_changed_at_con_idx; Type: INDEX ATTACH; Schema: public; Owner: -
--

ALTER INDEX public.contact_change_by_origin ATTACH PARTITION public.contact_change_2012_03_origin_id_origin_kind_changed_at_con_idx;

--
-- Name: contact_change_other_origin_id_origin_kind_changed_at_conta_idx; Type: INDEX ATTACH; Schema: public; Owner: -
--

ALTER INDEX public.contact_change_by_origin ATTACH PARTITION public.contact_change_other_origin_id_origin_kind_changed_at_conta_idx;

--
-- Name: contact_field contact_field_changed; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER contact_field_changed AFTER INSERT OR DELETE OR UPDATE OR TRUNCATE ON public.contact_field FOR EACH STATEMENT EXECUTE FUNCTION public.catalogue_changed();

--
-- Name: contact contact_inserted; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER contact_inserted AFTER INSERT ON public.contact REFERENCING NEW TABLE AS new_contact FOR EACH STATEMENT EXECUTE FUNCTION public.contact_log_insert();

--
-- Name: contact_log_horizon contact_log_horizon_changed; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER contact_log_horizon_changed AFTER INSERT OR DELETE OR UPDATE OR TRUNCATE ON public.contact_log_horizon FOR EACH STATEMENT EXECUTE FUNCTION public.catalogue_changed();

--
-- Name: contact contact_updated; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER contact_updated AFTER UPDATE ON public.contact REFERENCING OLD TABLE AS old_contact NEW TABLE AS new_contact FOR EACH STATEMENT EXECUTE FUNCTION public.contact_log_update();

--
-- Name: origin origin_changed; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER origin_changed AFTER INSERT OR DELETE OR UPDATE OR TRUNCATE ON public.origin FOR EACH STATEMENT EXECUTE FUNCTION public.catalogue_changed();

--
-- Name: access_token access_token_user_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.access_token
    ADD CONSTRAINT access_token_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.api_user(id) ON DELETE CASCADE;

--
-- Name: contact_field_choice contact_field_choice_field_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.contact_field_choice
    ADD CONSTRAINT contact_field_choice_field_id_fkey FOREIGN KEY (field_id) REFERENCES public.contact_field(id) ON DELETE CASCADE;

--
-- Name: export_row_mark export_row_mark_export_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.export_row_mark
    ADD CONSTRAINT export_row_mark_export_id_fkey FOREIGN KEY (export_id) REFERENCES public.export(id) ON DELETE CASCADE;

--
-- Name: wsse_nonce wsse_nonce_user_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.wsse_nonce
    ADD CONSTRAINT wsse_nonce_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.api_user(id) ON DELETE CASCADE;

--
-- Name: FUNCTION catalogue_changed(); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.catalogue_changed() FROM PUBLIC;

--
-- Name: FUNCTION contact_log_insert(); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.contact_log_insert() FROM PUBLIC;

--
-- Name: FUNCTION contact_log_update(); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.contact_log_update() FROM PUBLIC;

--
-- PostgreSQL database dump complete
--
