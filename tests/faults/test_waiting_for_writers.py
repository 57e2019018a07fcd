"""An export that waits for a slow transaction survives the death of its workers, and is done once."""

from collections.abc import Iterator

import pytest

from contactexport.context import Context
from contactexport.exports import store as export_store
from contactexport.exports.models import FtpTarget
from tests.support.exporting import (
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
from tests.support.ftp_hosts import serving
from tests.support.invariants import require_all_done, wait_until_final
from tests.support.processes import worker
from tests.support.served import wait_until


class SlowWriter:
    """An open transaction that has added a contact, a later contact of a committed one, and a past window with both."""

    def __init__(self, context: Context, session) -> None:
        self.start = database_time(context)
        self._session = session
        with session.cursor() as cursor:
            cursor.execute("INSERT INTO contact (origin_kind, origin_id) VALUES ('form', 123) RETURNING id")
            self.contact = cursor.fetchone()[0]
        self.other = add_contact(context)
        self.end = database_time(context)

    def commit(self) -> None:
        self._session.commit()


@pytest.fixture
def writer(context: Context) -> Iterator[SlowWriter]:
    with other_session(context, autocommit=False) as session:
        yield SlowWriter(context, session)


def was_postponed(context: Context, export_id: int, attempt: int) -> bool:
    row = row_of(context, export_id)
    return row["attempt"] == attempt and str(row["error"]).startswith("Open transactions")


def test_restart_of_worker_does_not_reset_how_long_an_export_has_waited(context: Context, writer: SlowWriter):
    export_id = request(context, settings_for(start=writer.start, end=writer.end))
    with worker(context, WRITERS_WAIT="0.1") as first:
        wait_until(lambda: was_postponed(context, export_id, 1), "it is postponed")
        first.kill()
    since = row_of(context, export_id)["writers_since"]
    with worker(context, WRITERS_WAIT="0.1", WRITERS_LIMIT="3600"):
        make_due(context, export_id)
        wait_until(lambda: was_postponed(context, export_id, 2), "it is postponed again")
        assert row_of(context, export_id)["writers_since"] == since
    make_due(context, export_id)
    with worker(context, WRITERS_WAIT="0.1", WRITERS_LIMIT="0.001"):
        assert wait_until_final(context, export_id)["status"] == "error"


@pytest.mark.parametrize(
    "point",
    [
        "file named:2",
        *(
            pytest.param(f"{point}:2", marks=pytest.mark.slow)
            for point in ("export claimed", "file written", "marked ready")
        ),
    ],
)
def test_worker_killed_after_the_writer_ended_loses_no_row(context: Context, writer: SlowWriter, point: str, tmp_path):
    with serving(tmp_path / "inbox") as (port, _), worker(context, WRITERS_WAIT="0.1") as waiting:
        target = FtpTarget("127.0.0.1", port, "user")
        settings = settings_for(start=writer.start, end=writer.end, distribution_method="ftp", ftp=target)
        export_id = request(context, settings)
        wait_until(lambda: was_postponed(context, export_id, 1), "it is postponed")
        waiting.stop()
        writer.commit()
        with worker(context, WRITERS_WAIT="0.1", CRASH_POINT=f"{point}:SIGKILL"):
            make_due(context, export_id)
            row = wait_until_final(context, export_id)
            require_all_done(context, [export_id], delivered_to=tmp_path / "inbox")
    # After "marked ready" another process delivers the file, in the same attempt.
    attempts = 2 if point == "marked ready:2" else 3
    assert (row["rows"], row["attempt"], row["effective_until"]) == (2, attempts, writer.end)


def test_worker_killed_while_waiting_is_replaced_by_another(context: Context, writer: SlowWriter):
    export_id = request(context, settings_for(start=writer.start, end=writer.end))
    with worker(context, WRITERS_WAIT="60") as killed:
        wait_until_waiting(context)
        killed.kill()
    with worker(context, WRITERS_WAIT="0.1"):
        wait_until(lambda: was_postponed(context, export_id, 2), "it is postponed")
        writer.commit()
        make_due(context, export_id)
        wait_until_final(context, export_id)
        require_all_done(context, [export_id])
    with context.database.transaction() as conn:
        assert ids_in(context, export_store.get(conn, export_id)) == [writer.contact, writer.other]
