"""`flask doctor` tells of each part how it is, also when the database or the broker is down."""

import json
import shutil
from collections import namedtuple
from collections.abc import Iterator

import pytest

from contactexport import doctor, workers
from contactexport.context import Context
from contactexport.manifests import store as manifests
from contactexport.queue.publisher import QUEUES
from tests.support.exporting import context_with, execute, request, settings_for
from tests.support.readers import role

NO_DATABASE = "postgresql://root:geheim@127.0.0.1:1/none"
NO_BROKER = "amqp://user:geheim@127.0.0.1:1//"
PARTS = ["database", "version", "schema", "rights", "pooler", "contacts"]
PARTS += ["key", "storage", "disk", "broker", "clock", "workers"]
Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def closed_schema(context: Context) -> None:
    """Before Postgres 15 everybody may create functions in `public`."""
    execute(context, "REVOKE CREATE ON SCHEMA public FROM PUBLIC")


@pytest.fixture(autouse=True)
def worker(context: Context) -> None:
    """One that takes everything and has just said that it lives."""
    alive(context, list(QUEUES))


@pytest.fixture
def program(context: Context) -> Iterator[str]:
    with role(context, "IN ROLE pg_read_all_stats") as name:
        yield name


def alive(context: Context, queues: list[str]) -> None:
    with context.database.transaction() as conn:
        workers.note_alive(conn, 1, queues, processes=2, pause=10)


def to_do(context: Context) -> dict[str, str]:
    return {one.part: one.text for one in doctor.examine(context) if one.state == doctor.TO_DO}


@pytest.mark.usefixtures("closed_schema")
def test_doctor_has_a_line_for_each_part_of_a_sound_installation(context: Context, runner):
    told = runner.invoke(args=["doctor"])
    assert told.exit_code == 0, told.stdout
    assert [line.split()[1] for line in told.stdout.splitlines()] == PARTS
    assert {line.split()[0] for line in told.stdout.splitlines()} == {"ok"}
    told = runner.invoke(args=["doctor", "--json"])
    assert [(one["part"], one["state"]) for one in json.loads(told.stdout)] == [(part, "ok") for part in PARTS]


@pytest.mark.usefixtures("closed_schema")
def test_doctor_looks_at_the_contacts_database_too(context: Context):
    lines = doctor.examine(context_with(context, contacts_database_url=context.database.url))
    assert [one.part for one in lines] == ["database", "contacts database", *PARTS[1:]]
    assert {one.state for one in lines} == {"ok"}
    lines = doctor.examine(context_with(context, contacts_database_url=NO_DATABASE))
    states = {one.part: one.state for one in lines}
    assert states["contacts database"] == doctor.TO_DO
    assert states["contacts"] == doctor.NOT_KNOWN
    assert states["workers"] == doctor.NOT_KNOWN


def test_doctor_goes_on_without_database_and_broker(app, context: Context, runner):
    app.extensions["contactexport"] = context_with(context, database_url=NO_DATABASE, broker_url=NO_BROKER)
    told = runner.invoke(args=["doctor", "--json"])
    assert told.exit_code == 1
    lines = {one["part"]: one for one in json.loads(told.stdout)}
    assert list(lines) == PARTS
    assert [part for part, one in lines.items() if one["state"] == doctor.TO_DO] == ["database", "broker"]
    assert [part for part, one in lines.items() if one["state"] == doctor.OK] == ["disk"]
    assert lines["database"]["text"].startswith("The database does not answer")
    assert lines["contacts"]["text"] == "needs the database"
    assert "geheim" not in told.output


def test_doctor_tells_of_another_schema(context: Context):
    execute(context, "UPDATE contactexport_version SET version_num = '0001'")
    lines = {one.part: one for one in doctor.examine(context)}
    assert "run `flask db upgrade`" in lines["version"].text
    assert lines["contacts"].state == doctor.NOT_KNOWN


@pytest.mark.usefixtures("closed_schema")
def test_doctor_tells_what_the_schema_lacks(context: Context):
    execute(context, "DROP INDEX export_of_user_claimed")
    assert to_do(context) == {
        "schema": "the schema public lacks index export_of_user_claimed on export (created_by, claimed_at)"
    }


def test_doctor_tells_who_may_put_functions_into_the_schema(context: Context):
    execute(context, "GRANT CREATE ON SCHEMA public TO PUBLIC")
    assert "every role may create functions" in to_do(context)["schema"]


@pytest.mark.usefixtures("closed_schema")
def test_doctor_tells_which_rights_are_lacking(context: Context, program: str):
    execute(
        context,
        f"GRANT INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {program};"
        f"REVOKE UPDATE, DELETE ON export FROM {program}; REVOKE DELETE ON contact_change FROM {program}",
    )
    url = context.database.url.replace("//postgres", f"//{program}", 1)
    restricted = context_with(context, database_url=url)
    lines = [one for one in doctor.examine(restricted) if one.part == "rights"]
    assert [(one.text, one.remedy) for one in lines] == [
        (f"{program} lacks UPDATE, DELETE on export", f"run GRANT UPDATE, DELETE ON export TO {program}")
    ]
    execute(context, lines[0].remedy.removeprefix("run "))
    assert to_do(restricted) == {}
    restricted.database.close()


@pytest.mark.usefixtures("closed_schema")
def test_doctor_tells_key_and_folder_of_another_installation(context: Context, tmp_path):
    assert to_do(context) == {}
    other = context_with(context, secret_key="another key")
    assert list(to_do(other)) == ["key"]
    assert "fingerprint" in to_do(other)["key"]
    assert {one.part: one.state for one in doctor.examine(other)}["storage"] == doctor.NOT_KNOWN
    other = context_with(context, storage=tmp_path / "elsewhere")
    assert list(to_do(other)) == ["storage"]


@pytest.mark.usefixtures("closed_schema")
def test_doctor_tells_that_manifests_cannot_be_signed(context: Context):
    with context.database.transaction() as conn:
        manifests.current_key(context, conn)
    assert to_do(context) == {}
    execute(context, "UPDATE manifest_key SET private_key = 'gAAAAAnonsense'")
    assert list(to_do(context)) == ["key"]
    assert "manifests" in to_do(context)["key"]
    manifests.rotate_key(context)
    assert to_do(context) == {}


@pytest.mark.usefixtures("closed_schema")
def test_doctor_tells_of_a_disk_that_is_nearly_full(context: Context, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _folder: Usage(100 * 10**9, 96 * 10**9, 4 * 10**9))
    assert to_do(context)["disk"].startswith("only 4.0 GB of 100.0 GB are free in ")
    monkeypatch.setattr(shutil, "disk_usage", lambda _folder: Usage(100 * 10**9, 90 * 10**9, 10 * 10**9))
    assert to_do(context) == {}


@pytest.mark.usefixtures("closed_schema")
def test_doctor_tells_of_clocks_that_are_apart(context: Context, monkeypatch: pytest.MonkeyPatch):
    now = doctor.time.time
    monkeypatch.setattr(doctor.time, "time", lambda: now() + 90)
    assert to_do(context)["clock"] == "the clocks of this machine and of the database are 90 seconds apart"
    monkeypatch.setattr(doctor.time, "time", lambda: now() - 90)
    assert to_do(context)["clock"] == "the clocks of this machine and of the database are 90 seconds apart"


@pytest.mark.usefixtures("closed_schema")
def test_doctor_misses_workers_and_what_none_of_them_does(context: Context):
    lines = {one.part: one.text for one in doctor.examine(context)}
    assert lines["workers"] == "workers: 1, machines: 1, exports worked on: 0, late: 0"
    alive(context, ["contactexport", "contactexport.short"])
    assert to_do(context)["workers"] == "no worker takes from contactexport.deliveries, contactexport.sweeps"
    alive(context, list(QUEUES))
    with context.database.transaction() as conn:
        workers.note_sweep(conn)
    assert to_do(context) == {}
    execute(context, "UPDATE export_last_sweep SET ended_at = clock_timestamp() - interval '10 minutes'")
    assert to_do(context)["workers"] == "the last sweep ended 600 seconds ago"
    execute(context, "UPDATE export_worker SET seen_at = clock_timestamp() - interval '1 minute'")
    assert to_do(context)["workers"] == "no worker says that it lives"


@pytest.mark.usefixtures("closed_schema")
def test_doctor_misses_a_worker_when_exports_stay_where_they_are(context: Context):
    export_id = request(context, settings_for())
    assert to_do(context) == {}
    execute(context, "UPDATE export SET due_at = clock_timestamp() - interval '10 minutes'")
    assert to_do(context)["workers"] == "nobody works on exports, and some have been due for more than 62 seconds: 1"
    request(context, settings_for(origin_ids=(124,)))
    execute(context, "UPDATE export SET due_at = clock_timestamp() - interval '10 minutes'")
    with context.database.session() as conn, conn.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(setting_key) FROM export WHERE id = %s", (export_id,))
        assert to_do(context) == {}
