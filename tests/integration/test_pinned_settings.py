"""What a role or a database sets changes no byte of a file, ends no session, and costs no attempt."""

import csv
import time
from concurrent.futures import ThreadPoolExecutor
from zoneinfo import ZoneInfo

import psycopg2
import pytest
from exporting import START, add_contact, backend_with, change, execute, export_file, other_session, run, settings_for
from exporting import request as request_export
from readers import WAYS, as_role, reading, role

from contactexport.backend import Backend
from contactexport.db.connection import Database
from contactexport.errors import DatabaseUnavailable

# Another value than ours for every setting that changes how a value is written or read, which rows there are, or that
# ends a statement or a session.
HOSTILE = {
    "DateStyle": "German, DMY",
    "IntervalStyle": "postgres_verbose",
    "TimeZone": "Asia/Kathmandu",
    "timezone_abbreviations": "Australia",
    "client_encoding": "LATIN1",
    "extra_float_digits": "-10",
    "bytea_output": "escape",
    "xmlbinary": "hex",
    "xmloption": "document",
    "array_nulls": "off",
    "standard_conforming_strings": "off",
    "backslash_quote": "off",
    "quote_all_identifiers": "on",
    "transform_null_equals": "on",
    "default_text_search_config": "pg_catalog.german",
    "row_security": "on",
    "gin_fuzzy_search_limit": "1",
    "zero_damaged_pages": "on",
    "ignore_checksum_failure": "on",
    "session_replication_role": "replica",
    "default_transaction_isolation": "serializable",
    "restrict_nonsystem_relation_kind": "view",
    "statement_timeout": "1ms",
    "lock_timeout": "1ms",
    "idle_in_transaction_session_timeout": "1ms",
    "transaction_timeout": "500ms",
    "idle_session_timeout": "500ms",
    "exit_on_error": "on",
    "client_connection_check_interval": "0",
    "client_min_messages": "debug5",
    "tcp_keepalives_idle": "1000",
    "tcp_keepalives_interval": "1000",
    "tcp_keepalives_count": "100",
    "tcp_user_timeout": "1",
}
LOCALES = ("lc_monetary", "lc_numeric", "lc_time")
# Decided: they change no value and end nothing, or are for whoever administers the server to say.
LEFT_ALONE = {
    "application_name", "check_function_bodies", "createrole_self_grant", "default_table_access_method",
    "default_tablespace", "default_toast_compression", "default_transaction_deferrable", "dynamic_library_path",
    "escape_string_warning", "event_triggers", "extension_control_path", "gin_pending_list_limit",
    "icu_validation_level", "lc_messages", "lo_compat_privileges", "local_preload_libraries", "search_path",
    "session_preload_libraries", "synchronize_seqscans", "temp_tablespaces", "operator_precedence_warning",
    # Full disks and maintenance: then nothing is accepted.
    "default_transaction_read_only",
    # Of one transaction.
    "transaction_deferrable", "transaction_isolation", "transaction_read_only",
}  # fmt: skip
CATEGORIES = r"^(Client Connection Defaults|Version and Platform|Error Handling)|TCP Settings"

# One column of each kind of value, made by what a cast or a function reads.
COLUMNS = {
    "float8": "0.1::float8 + 0.2::float8",
    "float4": "1.1::float4",
    "point": "point(0.1, 1e-20)",
    "bytea": r"'\x00ff41'::bytea",
    "money": "'1234.5'::money",
    "interval": "interval '1 year 2 days 03:04:05.6'",
    "date": "date '2012-02-09'",
    "timestamp": "timestamp '2012-02-09 01:02:03.456'",
    "timestamptz": "timestamptz '2012-07-09 01:02:03.456+00'",
    "times": "ARRAY[timestamptz '2012-07-09 01:02:03+00', NULL]",
    "range": "tstzrange('2012-07-09 01:02:03+00', NULL)",
    "json": "to_jsonb(timestamptz '2012-07-09 01:02:03+00')",
    "parsed_time": "('2012-07-09 01:02:03' || substr(' EST', id::integer, 4))::timestamptz",
    "parsed_date": "('02/03/12' || substr('', id::integer))::date",
    "parsed_array": "('{NULL,1}' || substr('', id::integer))::text[]",
    "month": "to_char(date '2012-05-09', 'TMMonth TMDay')",
    "number": "to_char(1234567.5, '9G999G999D99L')",
    "words": "to_tsvector(repeat('the cats', id::integer))",
    "table_name": "'pg_class'::regclass",
    "nothing": "is_null(NULL)",
    "texts": r"U&'\00e9\00df' || chr(8364)",
    "zone": "current_setting('TimeZone')",
}
XML = {
    "xml": r"xmlelement(name a, '\x00ff'::bytea)",
    "parsed_xml": "('<a/><b/>' || substr('', id::integer))::xml::text",
}


def knows_xml(backend: Backend) -> bool:
    try:
        execute(backend, "SELECT '<a/>'::xml")
    except psycopg2.Error:
        return False
    return True


@pytest.fixture
def values(backend: Backend) -> tuple[int, ...]:
    """A view with a column of every kind, and the ids of its fields."""
    columns = COLUMNS | (XML if knows_xml(backend) else {})
    execute(
        backend,
        "CREATE FUNCTION is_null(value text) RETURNS text LANGUAGE plpgsql AS"
        r" $$ BEGIN RETURN (value = NULL) IS NULL || 'a\nb'; END $$",
    )
    made = ", ".join(f"{expression} AS v_{name}" for name, expression in columns.items())
    execute(
        backend,
        "ALTER TABLE contact RENAME TO customer;"
        f"CREATE VIEW contact AS SELECT id, origin_kind, origin_id, {made} FROM customer;"
        "INSERT INTO customer (id, origin_kind, origin_id) VALUES (1, 'form', 123)",
    )
    change(backend, 1, START)
    for number, name in enumerate(columns):
        execute(
            backend,
            "INSERT INTO contact_field (id, name, application_type, column_name) VALUES (%s, %s, 'shorttext', %s)",
            (200_000 + number, name, f"v_{name}"),
        )
    return tuple(200_000 + number for number in range(len(columns)))


def hostile_settings(backend: Backend) -> dict[str, str]:
    """Those that this server knows."""
    known = {row["name"] for row in execute(backend, "SELECT name FROM pg_settings")}
    locales = execute(backend, "SELECT collcollate AS name FROM pg_collation WHERE collprovider = 'c'")
    locale = max((row["name"] for row in locales if row["name"]), key=len)
    return {name: value for name, value in {**HOSTILE, **dict.fromkeys(LOCALES, locale)}.items() if name in known}


def make_hostile(backend: Backend, whom: str) -> None:
    for name, value in hostile_settings(backend).items():
        execute(backend, f"ALTER {whom} SET {name} = '{value}'")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("whom", ["role", "database"])
def test_settings_of_a_role_or_a_database_change_no_byte(backend, database_name, values, monkeypatch, way, whom):
    vienna = backend_with(backend, time_zone=ZoneInfo("Europe/Vienna"))
    vienna, changes = reading(vienna, way, monkeypatch)
    settings = settings_for(contact_fields=values, **changes)
    expected = export_file(vienna, settings)
    with role(backend, "SUPERUSER") as name:
        make_hostile(backend, f"ROLE {name}" if whom == "role" else f"DATABASE {database_name}")
        hostile = as_role(vienna, name)
        assert export_file(hostile, settings) == expected
        hostile.database.close()
        hostile.contacts.close()


def test_every_setting_of_the_server_is_decided(backend: Backend):
    found = execute(
        backend,
        "SELECT name FROM pg_settings"
        " WHERE context IN ('user', 'superuser') AND category ~ %s AND name NOT LIKE 'vacuum%%'",
        (CATEGORIES,),
    )
    assert {row["name"] for row in found} <= {*HOSTILE, *LOCALES, *LEFT_ALONE}


def test_what_is_hostile_is_not_what_our_sessions_have(backend: Backend, database_name: str):
    make_hostile(backend, f"DATABASE {database_name}")
    backend.database.close()
    settings = hostile_settings(backend)
    found = execute(backend, "SELECT name, current_setting(name) AS value FROM unnest(%s) AS name", (list(settings),))
    same = {row["name"] for row in found if row["value"] == settings[row["name"]]}
    assert same <= set(LOCALES)


def test_an_error_does_not_end_a_session(backend: Backend, database_name: str):
    execute(backend, f"ALTER DATABASE {database_name} SET exit_on_error = on")
    with Database(lambda: backend.database.url).session() as conn, conn.cursor() as cursor:
        with pytest.raises(psycopg2.errors.DivisionByZero):
            cursor.execute("SELECT 1 / 0")
        cursor.execute("SELECT 1 AS one")


def test_a_lock_that_is_waited_for_longer_than_the_role_likes_costs_no_attempt(backend: Backend, database_name: str):
    change(backend, add_contact(backend), START)
    export_id = request_export(backend, settings_for())
    execute(backend, f"ALTER DATABASE {database_name} SET lock_timeout = '1ms'")
    backend.database.close()
    with other_session(backend, autocommit=False) as busy, ThreadPoolExecutor(1) as worker:
        with busy.cursor() as cursor:
            cursor.execute("LOCK TABLE contact")
        running = worker.submit(run, backend, export_id)
        while not running.done() and not waits_for_contacts(backend):
            time.sleep(0.01)
        time.sleep(0.1)
        busy.rollback()
        export = running.result()
    assert (export.status, export.attempt, export.rows) == ("done", 1, 1)


def waits_for_contacts(backend: Backend) -> bool:
    waiting = "SELECT FROM pg_locks WHERE relation = 'contact'::regclass AND NOT granted"
    return execute(backend, f"SELECT EXISTS ({waiting}) AS found")[0]["found"]


def test_a_setting_that_a_role_may_not_take_back_is_refused_and_not_put_up_with(backend: Backend):
    with role(backend) as name:
        execute(backend, f"ALTER ROLE {name} SET zero_damaged_pages = on")
        reader = as_role(backend, name)
        refused = pytest.raises(DatabaseUnavailable, match=r'refuses this user: .*"zero_damaged_pages"')
        with refused, reader.contacts.session():
            pass


@pytest.mark.parametrize(
    ("zone", "offsets", "clocks"),
    [
        ("UTC", ("+00", "+00"), ("00:30:00", "00:30:00", "00:30:00")),
        ("Europe/Vienna", ("+01", "+02"), ("01:30:00", "02:30:00", "02:30:00")),
        ("CET", ("+01", "+02"), ("01:30:00", "02:30:00", "02:30:00")),  # Postgres knows it as an offset as well
        ("Asia/Kathmandu", ("+05:45", "+05:45"), ("06:15:00", "06:15:00", "06:15:00")),
    ],
)
@pytest.mark.parametrize("way", WAYS)
def test_all_times_are_in_the_zone_of_the_service(backend: Backend, monkeypatch, way, zone, offsets, clocks):
    backend, changes = reading(backend_with(backend, time_zone=ZoneInfo(zone)), way, monkeypatch)
    execute(backend, "ALTER TABLE contact ADD COLUMN seen timestamptz, ADD COLUMN visits timestamptz[]")
    execute(
        backend,
        "INSERT INTO contact_field (id, name, application_type, column_name)"
        " VALUES (200001, 'Seen', 'date', 'seen'), (200002, 'Visits', 'shorttext', 'visits')",
    )
    for seen, changed in (("2012-02-10", "2012-02-10"), ("2012-07-10", "2012-03-30")):
        moment = f"{seen} 00:30+00"
        change(backend, add_contact(backend, seen=moment, visits=f'{{"{moment}"}}'), f"{changed} 00:30+00")
    text = export_file(backend, settings_for(contact_fields=(200001, 200002), **changes)).decode("utf-8-sig")
    rows = [row[1:] for row in csv.reader(text.splitlines())]
    winter, summer, spring = clocks
    assert rows == [
        [f"2012-02-10 {winter}{offsets[0]}", f'{{"2012-02-10 {winter}{offsets[0]}"}}', f"2012-02-10 {winter}"],
        [f"2012-07-10 {summer}{offsets[1]}", f'{{"2012-07-10 {summer}{offsets[1]}"}}', f"2012-03-30 {spring}"],
    ]
