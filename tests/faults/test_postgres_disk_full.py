"""A Postgres whose disk is full: callers get 503 and are told when to come again, /readyz says why, nothing is lost."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psycopg2
import pytest
from backends import make_backend
from exporting import execute, request, settings_for
from invariants import require_all_done, wait_until_final
from processes import Server, server, worker
from served import wait_until
from small_disks import filled, small_disk

from contactexport.backend import Backend
from contactexport.db import migrate
from contactexport.embedded import postgres, sample_catalogue
from contactexport.errors import DatabaseInTrouble
from contactexport.services import check_readiness

BODY = {
    "distribution_method": "local",
    "time_range": ["2012-02-09", "2012-04-02"],
    "origin": "all",
    "contact_fields": [1],
}

ENDED = "UPDATE export SET status = 'error', finished_at = now(), due_at = NULL, error = 'x' WHERE finished_at IS NULL"


@pytest.fixture
def small(tmp_path: Path) -> Iterator[tuple[Backend, Path]]:
    """A backend whose Postgres lies on a disk of its own, and that disk."""
    above = Path(tempfile.mkdtemp(prefix="contactexport-"))
    disk = above / "disk"
    with small_disk(disk, "200m"):
        disk.chmod(0o755)
        backend = make_backend(postgres.start(disk), tmp_path / "data")
        migrate.upgrade(backend.database)
        sample_catalogue.load(backend.database)
        yield backend, disk
        backend.database.close()
        postgres.stop(disk)
    shutil.rmtree(above, ignore_errors=True)


def test_calls_are_503_readyz_says_it_and_all_goes_on_once_there_is_room(small: tuple[Backend, Path], tmp_path: Path):
    backend, disk = small
    with server(backend, EXPORTS_PER_USER="100000") as here, worker(backend) as working:
        assert here.get("/readyz").json()["data"] == {"database": "ok", "storage": "ok", "broker": "ok"}
        before = here.post(BODY).json()["data"]["id"]
        wait_until_final(backend, before)
        with filled(disk):
            full = fill_tables(backend)
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
        accepted = [row["id"] for row in execute(backend, "SELECT id FROM export WHERE finished_at IS NULL")]
        after = here.post(BODY | {"language": "de"}).json()["data"]["id"]
        for export_id in (*accepted, after):
            wait_until_final(backend, export_id)
        execute(backend, "DELETE FROM export WHERE error = 'x'")
        everything = [row["id"] for row in execute(backend, "SELECT id FROM export")]
        require_all_done(backend, everything, logs=[working.log])


def fill_tables(backend: Backend) -> DatabaseInTrouble:
    """Uses up the room that the tables have in pages that are there already."""
    for number in range(2000):
        try:
            request(backend, settings_for(origin_ids=(number,), contact_fields=tuple(range(1000))))
            execute(backend, ENDED)
        except DatabaseInTrouble as full:
            return full
    pytest.fail("everything was stored")


def refused_until_full(here: Server):
    for number in range(900):
        answer = here.post(BODY | {"time_range": ["2012-02-09", f"2012-04-02 00:{number // 60:02}:{number % 60:02}"]})
        if answer.status_code != 200:
            return answer
    pytest.fail("everything was accepted")


def test_a_read_alone_would_not_notice(small: tuple[Backend, Path]):
    backend, disk = small
    with filled(disk):
        migrate.check(backend.database)
        assert check_readiness.check(backend)["database"] == "disk full"
    assert check_readiness.check(backend)["database"] == "ok"


def test_a_server_that_only_reads_is_not_ready(small: tuple[Backend, Path], caplog: pytest.LogCaptureFixture):
    backend, _disk = small
    name = psycopg2.extensions.parse_dsn(backend.database.url)["dbname"]
    execute(backend, f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    backend.database.close()
    assert check_readiness.check(backend)["database"] == "unavailable"
    assert "cannot execute UPDATE in a read-only transaction" in caplog.text


def test_a_server_without_free_connections_is_not_ready(small: tuple[Backend, Path], caplog: pytest.LogCaptureFixture):
    backend, _disk = small
    most = int(execute(backend, "SHOW max_connections")[0]["max_connections"])
    backend.database.close()
    taken = []
    try:
        with suppress(psycopg2.OperationalError):
            while len(taken) <= most:
                taken.append(psycopg2.connect(backend.database.url))
        assert check_readiness.check(backend)["database"] == "unavailable"
        assert "sorry, too many clients already" in caplog.text
    finally:
        for conn in taken:
            conn.close()
    wait_until(lambda: check_readiness.check(backend)["database"] == "ok", "connections are free again")
