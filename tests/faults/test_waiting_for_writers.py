"""An export that waits for a slow transaction outlives its workers, and is done once."""

from collections.abc import Iterator

import pytest
from exporting import (
    add_contact,
    database_time,
    ids_in,
    make_due,
    other_session,
    request,
    row_of,
    settings_for,
    wait_until_waiting,
)
from ftp_hosts import serving
from invariants import require_all_done, wait_until_final
from processes import worker
from served import wait_until

from contactexport.backend import Backend
from contactexport.db import export_repository
from contactexport.models import FtpTarget


class SlowWriter:
    """A transaction that has added a contact, before another one did; and a window of the past with both."""

    def __init__(self, backend: Backend, session) -> None:
        self.start = database_time(backend)
        self._session = session
        with session.cursor() as cursor:
            cursor.execute("INSERT INTO contact (origin_kind, origin_id) VALUES ('form', 123) RETURNING id")
            self.contact = cursor.fetchone()[0]
        self.other = add_contact(backend)
        self.end = database_time(backend)

    def commit(self) -> None:
        self._session.commit()


@pytest.fixture
def writer(backend: Backend) -> Iterator[SlowWriter]:
    with other_session(backend, autocommit=False) as session:
        yield SlowWriter(backend, session)


def was_put_off(backend: Backend, export_id: int, attempt: int) -> bool:
    row = row_of(backend, export_id)
    return row["attempt"] == attempt and str(row["error"]).startswith("Still changing contacts")


def test_a_restart_of_the_worker_does_not_reset_how_long_an_export_has_waited(backend: Backend, writer: SlowWriter):
    export_id = request(backend, settings_for(start=writer.start, end=writer.end))
    with worker(backend, WRITERS_WAIT="0.1") as first:
        wait_until(lambda: was_put_off(backend, export_id, 1), "it is put off")
        first.kill()
    since = row_of(backend, export_id)["writers_since"]
    with worker(backend, WRITERS_WAIT="0.1", WRITERS_LIMIT="3600"):
        make_due(backend, export_id)
        wait_until(lambda: was_put_off(backend, export_id, 2), "it is put off again")
        assert row_of(backend, export_id)["writers_since"] == since
    make_due(backend, export_id)
    with worker(backend, WRITERS_WAIT="0.1", WRITERS_LIMIT="0.001"):
        assert wait_until_final(backend, export_id)["status"] == "error"


@pytest.mark.parametrize("point", ["export claimed:2", "file written:2", "file named:2", "marked ready:2"])
def test_a_worker_that_is_killed_after_the_writer_has_ended_costs_no_row(
    backend: Backend, writer: SlowWriter, point: str, tmp_path
):
    with serving(tmp_path / "inbox") as (port, _), worker(backend, WRITERS_WAIT="0.1") as waiting:
        target = FtpTarget("127.0.0.1", port, "user")
        settings = settings_for(start=writer.start, end=writer.end, distribution_method="ftp", ftp=target)
        export_id = request(backend, settings)
        wait_until(lambda: was_put_off(backend, export_id, 1), "it is put off")
        waiting.stop()
        writer.commit()
        with worker(backend, WRITERS_WAIT="0.1", CRASH_POINT=f"{point}:SIGKILL"):
            make_due(backend, export_id)
            row = wait_until_final(backend, export_id)
            require_all_done(backend, [export_id], delivered_to=tmp_path / "inbox")
    # Who has marked the file ready is through: another process delivers it in the same attempt.
    attempts = 2 if point == "marked ready:2" else 3
    assert (row["rows"], row["attempt"], row["effective_until"]) == (2, attempts, writer.end)


def test_a_worker_that_is_killed_while_it_waits_is_followed_by_another(backend: Backend, writer: SlowWriter):
    export_id = request(backend, settings_for(start=writer.start, end=writer.end))
    with worker(backend, WRITERS_WAIT="60") as killed:
        wait_until_waiting(backend)
        killed.kill()
    with worker(backend, WRITERS_WAIT="0.1"):
        wait_until(lambda: was_put_off(backend, export_id, 2), "it is put off")
        writer.commit()
        make_due(backend, export_id)
        wait_until_final(backend, export_id)
        require_all_done(backend, [export_id])
    with backend.database.transaction() as conn:
        assert ids_in(backend, export_repository.get(conn, export_id)) == [writer.contact, writer.other]
