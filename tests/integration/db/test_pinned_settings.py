"""Settings of a role or a database change no byte of a file, end no session, and cost no attempt."""

import csv
import time
from concurrent.futures import ThreadPoolExecutor
from zoneinfo import ZoneInfo

import psycopg2
import pytest

from contactexport.context import Context
from contactexport.db.connection import Database
from contactexport.errors import DatabaseUnavailable
from tests.support.exporting import (
    START,
    add_contact,
    change,
    context_with,
    execute,
    export_file,
    other_session,
    run,
    settings_for,
)
from tests.support.exporting import request as request_export
from tests.support.readers import WAYS, as_role, reading, role

# Settings that change how a value is written or read, change which rows a query finds, or end a statement or a session.
# Each has another value than ours.
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
# Decided: they change no value and end nothing, or are up to the administrator of the server.
LEFT_ALONE = {
    "application_name", "check_function_bodies", "createrole_self_grant", "default_table_access_method",
    "default_tablespace", "default_toast_compression", "default_transaction_deferrable", "dynamic_library_path",
    "escape_string_warning", "event_triggers", "extension_control_path", "gin_pending_list_limit",
    "icu_validation_level", "lc_messages", "lo_compat_privileges", "local_preload_libraries", "search_path",
    "session_preload_libraries", "synchronize_seqscans", "temp_tablespaces", "operator_precedence_warning",
    # For full disks and maintenance: nothing is accepted then.
    "default_transaction_read_only",
    # They hold for one transaction.
    "transaction_deferrable", "transaction_isolation", "transaction_read_only",
}  # fmt: skip
CATEGORIES = r"^(Client Connection Defaults|Version and Platform|Error Handling)|TCP Settings"

# One column of each kind of value, by casts and functions that depend on settings.
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


def knows_xml(context: Context) -> bool:
    try:
        execute(context, "SELECT '<a/>'::xml")
    except psycopg2.Error:
        return False
    return True


@pytest.fixture
def values(context: Context) -> tuple[int, ...]:
    """A view with a column of every kind, and the ids of its fields."""
    columns = COLUMNS | (XML if knows_xml(context) else {})
    execute(
        context,
        "CREATE FUNCTION is_null(value text) RETURNS text LANGUAGE plpgsql AS"
        r" $$ BEGIN RETURN (value = NULL) IS NULL || 'a\nb'; END $$",
    )
    made = ", ".join(f"{expression} AS v_{name}" for name, expression in columns.items())
    execute(
        context,
        "ALTER TABLE contact RENAME TO customer;"
        f"CREATE VIEW contact AS SELECT id, origin_kind, origin_id, {made} FROM customer;"
        "INSERT INTO customer (id, origin_kind, origin_id) VALUES (1, 'form', 123)",
    )
    change(context, 1, START)
    for number, name in enumerate(columns):
        execute(
            context,
            "INSERT INTO contact_field (id, name, application_type, column_name) VALUES (%s, %s, 'shorttext', %s)",
            (200_000 + number, name, f"v_{name}"),
        )
    return tuple(200_000 + number for number in range(len(columns)))


def hostile_settings(context: Context) -> dict[str, str]:
    """The hostile settings that this server knows."""
    known = {row["name"] for row in execute(context, "SELECT name FROM pg_settings")}
    locales = execute(context, "SELECT collcollate AS name FROM pg_collation WHERE collprovider = 'c'")
    locale = max((row["name"] for row in locales if row["name"]), key=len)
    return {name: value for name, value in {**HOSTILE, **dict.fromkeys(LOCALES, locale)}.items() if name in known}


def make_hostile(context: Context, whom: str) -> None:
    for name, value in hostile_settings(context).items():
        execute(context, f"ALTER {whom} SET {name} = '{value}'")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("whom", ["role", "database"])
def test_settings_of_a_role_or_a_database_change_no_byte(context, database_name, values, monkeypatch, way, whom):
    vienna = context_with(context, time_zone=ZoneInfo("Europe/Vienna"))
    vienna, changes = reading(vienna, way, monkeypatch)
    settings = settings_for(contact_fields=values, **changes)
    expected = export_file(vienna, settings)
    with role(context, "SUPERUSER") as name:
        make_hostile(context, f"ROLE {name}" if whom == "role" else f"DATABASE {database_name}")
        hostile = as_role(vienna, name)
        assert export_file(hostile, settings) == expected
        hostile.database.close()
        hostile.contacts.close()


def test_every_setting_of_the_server_is_listed_here(context: Context):
    found = execute(
        context,
        "SELECT name FROM pg_settings"
        " WHERE context IN ('user', 'superuser') AND category ~ %s AND name NOT LIKE 'vacuum%%'",
        (CATEGORIES,),
    )
    assert {row["name"] for row in found} <= {*HOSTILE, *LOCALES, *LEFT_ALONE}


def test_sessions_pin_every_hostile_setting(context: Context, database_name: str):
    make_hostile(context, f"DATABASE {database_name}")
    context.database.close()
    settings = hostile_settings(context)
    found = execute(context, "SELECT name, current_setting(name) AS value FROM unnest(%s) AS name", (list(settings),))
    same = {row["name"] for row in found if row["value"] == settings[row["name"]]}
    assert same <= set(LOCALES)


def test_error_does_not_end_a_session(context: Context, database_name: str):
    execute(context, f"ALTER DATABASE {database_name} SET exit_on_error = on")
    with Database(lambda: context.database.url).session() as conn, conn.cursor() as cursor:
        with pytest.raises(psycopg2.errors.DivisionByZero):
            cursor.execute("SELECT 1 / 0")
        cursor.execute("SELECT 1 AS one")


def test_lock_timeout_of_the_role_costs_no_attempt(context: Context, database_name: str):
    change(context, add_contact(context), START)
    export_id = request_export(context, settings_for())
    execute(context, f"ALTER DATABASE {database_name} SET lock_timeout = '1ms'")
    context.database.close()
    with other_session(context, autocommit=False) as busy, ThreadPoolExecutor(1) as worker:
        with busy.cursor() as cursor:
            cursor.execute("LOCK TABLE contact")
        running = worker.submit(run, context, export_id)
        while not running.done() and not waits_for_contacts(context):
            time.sleep(0.01)
        time.sleep(0.1)
        busy.rollback()
        export = running.result()
    assert (export.status, export.attempt, export.rows) == ("done", 1, 1)


def waits_for_contacts(context: Context) -> bool:
    waiting = "SELECT FROM pg_locks WHERE relation = 'contact'::regclass AND NOT granted"
    return execute(context, f"SELECT EXISTS ({waiting}) AS found")[0]["found"]


def test_hostile_setting_that_the_role_may_not_change_is_refused(context: Context):
    with role(context) as name:
        execute(context, f"ALTER ROLE {name} SET zero_damaged_pages = on")
        reader = as_role(context, name)
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
def test_all_times_are_in_the_service_zone(context: Context, monkeypatch, way, zone, offsets, clocks):
    context, changes = reading(context_with(context, time_zone=ZoneInfo(zone)), way, monkeypatch)
    execute(context, "ALTER TABLE contact ADD COLUMN seen timestamptz, ADD COLUMN visits timestamptz[]")
    execute(
        context,
        "INSERT INTO contact_field (id, name, application_type, column_name)"
        " VALUES (200001, 'Seen', 'date', 'seen'), (200002, 'Visits', 'shorttext', 'visits')",
    )
    for seen, changed in (("2012-02-10", "2012-02-10"), ("2012-07-10", "2012-03-30")):
        moment = f"{seen} 00:30+00"
        change(context, add_contact(context, seen=moment, visits=f'{{"{moment}"}}'), f"{changed} 00:30+00")
    text = export_file(context, settings_for(contact_fields=(200001, 200002), **changes)).decode("utf-8-sig")
    rows = [row[1:] for row in csv.reader(text.splitlines())]
    winter, summer, spring = clocks
    assert rows == [
        [f"2012-02-10 {winter}{offsets[0]}", f'{{"2012-02-10 {winter}{offsets[0]}"}}', f"2012-02-10 {winter}"],
        [f"2012-07-10 {summer}{offsets[1]}", f'{{"2012-07-10 {summer}{offsets[1]}"}}', f"2012-03-30 {spring}"],
    ]
