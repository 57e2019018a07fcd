"""The disk of Postgres is full: clients get 503 with Retry-After, /readyz says why, nothing is lost."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psycopg2
import pytest

from contactexport import readiness
from contactexport.context import Context
from contactexport.db import migrate
from contactexport.embedded import postgres, sample_catalogue
from contactexport.errors import DatabaseInTrouble
from tests.support.contexts import make_context
from tests.support.exporting import execute, request, settings_for
from tests.support.invariants import require_all_done, wait_until_final
from tests.support.processes import Server, server, worker
from tests.support.served import wait_until
from tests.support.small_disks import filled, small_disk

BODY = {
    "distribution_method": "local",
    "time_range": ["2012-02-09", "2012-04-02"],
    "origin": "all",
    "contact_fields": [1],
}

ENDED = "UPDATE export SET status = 'error', finished_at = now(), due_at = NULL, error = 'x' WHERE finished_at IS NULL"


@pytest.fixture
def small(tmp_path: Path) -> Iterator[tuple[Context, Path]]:
    """A context whose Postgres is on a separate disk, and that disk."""
    above = Path(tempfile.mkdtemp(prefix="contactexport-"))
    disk = above / "disk"
    with small_disk(disk, "200m"):
        disk.chmod(0o755)
        context = make_context(postgres.start(disk), tmp_path / "data")
        migrate.upgrade(context.database)
        sample_catalogue.load(context.database)
        yield context, disk
        context.database.close()
        postgres.stop(disk)
    shutil.rmtree(above, ignore_errors=True)


def test_calls_answer_503_while_the_disk_is_full_and_exports_continue_afterwards(
    small: tuple[Context, Path], tmp_path: Path
):
    context, disk = small
    with server(context, EXPORTS_PER_USER="100000") as here, worker(context) as working:
        assert here.get("/readyz").json()["data"] == {"database": "ok", "storage": "ok", "broker": "ok"}
        before = here.post(BODY).json()["data"]["id"]
        wait_until_final(context, before)
        with filled(disk):
            full = fill_tables(context)
            assert full.text.startswith("The database cannot do its work: disk full: could not extend file")
            assert full.status_text == "The database cannot do its work: disk full"
            ready = here.get("/readyz")
            assert (ready.status_code, ready.json()) == (503, {
                "replyCode": 1, "replyText": "Not ready: database",
                "data": {"database": "disk full", "storage": "ok", "broker": "ok"},
            })  # fmt: skip
            refused = refused_until_full(here)
            assert (refused.status_code, refused.headers["Retry-After"]) == (503, "5")
            assert refused.json() == {
                "replyCode": 1, "replyText": "The service is not available now. Please try again later.", "data": "",
            }  # fmt: skip
            assert here.get("/healthz").status_code == 200
            assert here.get(f"/api/v2/export/{before}").status_code in {200, 503}
        wait_until(lambda: here.get("/readyz").status_code == 200, "there is room again")
        assert here.said("not ready: database: The database cannot do its work: disk full: ")
        assert here.said("unavailable: The database cannot do its work: disk full: ")
        assert not here.said("Traceback")
        accepted = [row["id"] for row in execute(context, "SELECT id FROM export WHERE finished_at IS NULL")]
        after = here.post(BODY | {"language": "de"}).json()["data"]["id"]
        for export_id in (*accepted, after):
            wait_until_final(context, export_id)
        execute(context, "DELETE FROM export WHERE error = 'x'")
        everything = [row["id"] for row in execute(context, "SELECT id FROM export")]
        require_all_done(context, everything, logs=[working.log])


def fill_tables(context: Context) -> DatabaseInTrouble:
    """Uses up the free space in the existing pages of the tables."""
    for number in range(2000):
        try:
            request(context, settings_for(origin_ids=(number,), contact_fields=tuple(range(1000))))
            execute(context, ENDED)
        except DatabaseInTrouble as full:
            return full
    pytest.fail("everything was stored")


def refused_until_full(here: Server):
    for number in range(900):
        answer = here.post(BODY | {"time_range": ["2012-02-09", f"2012-04-02 00:{number // 60:02}:{number % 60:02}"]})
        if answer.status_code != 200:
            return answer
    pytest.fail("everything was accepted")


def test_readiness_notices_full_disk_that_reads_do_not_notice(small: tuple[Context, Path]):
    context, disk = small
    with filled(disk):
        migrate.check(context.database)
        assert readiness.check(context)["database"] == "disk full"
    assert readiness.check(context)["database"] == "ok"


def test_read_only_server_is_not_ready(small: tuple[Context, Path], caplog: pytest.LogCaptureFixture):
    context, _disk = small
    name = psycopg2.extensions.parse_dsn(context.database.url)["dbname"]
    execute(context, f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    context.database.close()
    assert readiness.check(context)["database"] == "unavailable"
    assert "cannot execute UPDATE in a read-only transaction" in caplog.text


def test_server_without_free_connections_is_not_ready(small: tuple[Context, Path], caplog: pytest.LogCaptureFixture):
    context, _disk = small
    most = int(execute(context, "SHOW max_connections")[0]["max_connections"])
    context.database.close()
    taken = []
    try:
        with suppress(psycopg2.OperationalError):
            while len(taken) <= most:
                taken.append(psycopg2.connect(context.database.url))
        assert readiness.check(context)["database"] == "unavailable"
        assert "sorry, too many clients already" in caplog.text
    finally:
        for conn in taken:
            conn.close()
    wait_until(lambda: readiness.check(context)["database"] == "ok", "connections are free again")
