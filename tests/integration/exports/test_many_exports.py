"""With years of finished exports in the table, no query of a request, worker or sweep reads more than it needs."""

import re
from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import Any

import aiosql
import pytest
from psycopg2.extras import Json

from contactexport.context import Context
from contactexport.db.connection import Database
from contactexport.db.queries import SQL_FOLDER, queries
from contactexport.exports import store, sweep
from contactexport.files import storage_check
from tests.support.contexts import database_url, make_context
from tests.support.exporting import execute, settings_for
from tests.support.sql_texts import blocks

FILLING = aiosql.from_path(
    Path(__file__).parents[3] / "benchmarks" / "many_exports.sql", "psycopg2", mandatory_parameters=False
)
GROWTH = Path(__file__).parents[3] / "docs" / "growth.md"
NUMBERS = {"finished": 20_000, "due": 200, "users": 100, "feeds": 50}
# A page, a batch of files, or what waits.
MOST_ROWS = 1500
OPTIONS = "SELECT reloptions FROM pg_class WHERE oid = 'export'::regclass"
# In db/sql. Those that only `flask secrets rotate` runs, secret.sql, read the whole table once.
FILES = ("export", "feed", "notification", "manifest", "doctor", "metrics")
# What each query is asked. Those that are not named are NULL, which is enough for a value to be stored.
PARAMETERS: Mapping[str, Any] = {
    "id": 45, "ids": list(range(10_000, 10_100)), "attempt": 1, "fence": 0, "setting_key": 1, "team": "team 3",
    "status": "error", "before": None, "limit": 100, "deliveries": True, "most_running": 2, "most": 1000,
    "patience": 600, "left_out": [], "retention": 31 * 86400, "seconds": 30, "counted": True, "permanent": False,
    "has_file": False, "notify_attempts": 0,
    "delays": [60.0], "name": None, "names": ["export"], "sequence": 5, "kind": "asked",
    "event": "feed late", "ftp": Json({}), "settings": Json({"language": "en"}), "created_by": "user 3",
    "suffix": "abcdef", "method": "ftp", "target": Json({}), "lock_wait": "1s", "waited": 1.0, "most_unfinished": 10,
    "runs": Json([{"feed_id": 7, "settings": {"language": "en"}, "setting_key": 1, "suffix": "abcdef"}]),
}  # fmt: skip


@pytest.fixture(scope="module")
def years(server_url: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Context]:
    """A context with so many exports, of which most have ended. All tests use it, because filling takes a second."""
    name = f"{template}_many_exports"
    server = Database(lambda: server_url)
    with server.session() as conn, conn.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    context = make_context(database_url(server_url, name), tmp_path_factory.mktemp("many"))
    with context.database.session() as conn:
        FILLING.add_users(conn, **NUMBERS)
        FILLING.add_feeds(conn, **NUMBERS)
        FILLING.add_exports(conn, **NUMBERS, above=0, last=NUMBERS["finished"] + NUMBERS["due"])
        FILLING.go_on_counting(conn)
        FILLING.tidy(conn)
    yield context
    context.database.close()
    with server.session() as conn, conn.cursor() as cursor:
        cursor.execute(f"DROP DATABASE {name} WITH (FORCE)")


def about_exports() -> Iterator[tuple[str, str]]:
    """The name and text of each query that reads or changes exports."""
    for file in FILES:
        if (SQL_FOLDER / f"{file}.sql").exists():
            for name in queries(file).available_queries:
                text = getattr(queries(file), name).sql
                if not name.endswith("_cursor") and re.search(r"\b(FROM|JOIN|UPDATE) export\b", text):
                    yield f"{file}.{name}", text


def plan_of(context: Context, text: str, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
    """The plan of a query with the rows that were read. What it changed is rolled back."""
    given = {name: parameters.get(name) for name in re.findall(r"%\((\w+)\)s", text)}
    with context.database.session() as conn, conn.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("SELECT pg_advisory_xact_lock(setting_key) FROM export WHERE status = 'scheduled' LIMIT 5")
        cursor.execute("UPDATE feed SET late_at = now(), late_told_at = NULL WHERE id <= 10")
        cursor.execute(f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {text}", given)
        plan = cursor.fetchone()["QUERY PLAN"][0]["Plan"]
        cursor.execute("ROLLBACK")
    return plan


def nodes(plan: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)


def fault(plan: Mapping[str, Any]) -> str | None:
    """What is wrong with how a query reads exports. None: nothing."""
    reading = [node for node in nodes(plan) if node.get("Relation Name") == "export" and "Scan" in node["Node Type"]]
    if not any(node["Actual Loops"] for node in reading):
        return "reads no export, give it values in PARAMETERS"
    for node in reading:
        left_out = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
        rows = (node["Actual Rows"] + left_out) * node["Actual Loops"]
        if node["Node Type"] == "Seq Scan" or rows > MOST_ROWS:
            return f"{node['Node Type']} {node.get('Index Name', '')}: {rows:.0f} rows"
    return None


def test_no_query_reads_more_exports_than_a_page(years: Context):
    faults = {name: fault(plan_of(years, text, PARAMETERS)) for name, text in about_exports()}
    assert len(faults) > 30
    assert {name: found for name, found in faults.items() if found} == {}


def test_no_list_of_exports_reads_more_than_a_page(years: Context):
    text = queries("export").list_exports.sql
    faults = {}
    for team, status, before in product(
        (None, "team 3", "no such team"),
        (None, "scheduled", "in progress", "ready", "done", "error"),
        (None, 10_000),
    ):
        asked = {"team": team, "status": status, "before": before, "limit": 100}
        faults[team, status, before] = fault(plan_of(years, text, asked))
    assert {asked: found for asked, found in faults.items() if found} == {}


def test_sweep_looks_for_orphans_less_often_the_more_files_there_are(years: Context, monkeypatch: pytest.MonkeyPatch):
    with years.database.transaction() as conn:
        kept = store.files_kept(conn)
        cursor = conn.cursor()
        cursor.execute("SELECT count(*) FROM export WHERE finished_at IS NOT NULL AND file_deleted_at IS NULL")
        assert kept == pytest.approx(cursor.fetchone()["count"], rel=0.1)
    assert storage_check.is_fit(years)
    orphan = years.settings.storage_dir / "changes_1_en-abcdef.csv.7.part"
    orphan.write_text("")
    monkeypatch.setattr(sweep, "FILES_A_SWEEP", 1e-9)
    sweep.sweep(years)
    assert orphan.exists()
    monkeypatch.setattr(sweep, "FILES_A_SWEEP", kept)
    sweep.sweep(years)
    assert not orphan.exists()


def test_accepting_reads_few_exports(years: Context):
    with years.database.session() as conn, conn.cursor() as cursor:
        cursor.execute("BEGIN")
        store.accept(
            conn, settings_for(), ftp_secret=None, suffix="abcdef", created_by="user 3", team="team 3",
            wait_seconds=1, waited_seconds=1, most_unfinished=10,
        )  # fmt: skip
        cursor.execute("SELECT seq_scan, idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = 'export'")
        read = cursor.fetchone()
        cursor.execute("ROLLBACK")
    assert read["seq_scan"] == 0
    assert read["idx_tup_fetch"] < 20


def test_filled_table_is_what_the_program_writes(years: Context):
    found = execute(years, "SELECT status, count(*) FROM export GROUP BY status ORDER BY status")
    counted = {row["status"]: row["count"] for row in found}
    assert counted == {"done": 19_394, "error": 606, "ready": 100, "scheduled": 100}
    with years.database.transaction() as conn:
        assert len(store.in_turn(conn, deliveries=False, most_running=1, most=1000)) == 50


def test_statements_of_the_page_about_growth_do_what_it_says(years: Context):
    """Those rows are deleted, and indexes that are made before the upgrade are those of the upgrade."""
    vacuum, delete, create = blocks(GROWTH.read_text(encoding="utf-8"))
    with years.database.session() as conn, conn.cursor() as cursor:
        upgraded, options = indexes(years), execute(years, OPTIONS)
        cursor.execute("ALTER TABLE export RESET (autovacuum_vacuum_scale_factor, autovacuum_vacuum_threshold)")
        cursor.execute(vacuum)
        assert sorted(execute(years, OPTIONS)[0]["reloptions"]) == sorted(options[0]["reloptions"])
        cursor.execute("DROP INDEX export_not_done, export_of_team_not_done")
        for statement in create.split(";")[:-1]:
            cursor.execute(statement)
        assert indexes(years) == upgraded
        cursor.execute("BEGIN")
        cursor.execute(delete.replace("1 year", "40 days"))
        assert 2000 < cursor.rowcount < 4000
        cursor.execute("ROLLBACK")


def indexes(context: Context) -> list[dict[str, Any]]:
    return execute(context, "SELECT indexdef FROM pg_indexes WHERE tablename = 'export' ORDER BY indexname")
