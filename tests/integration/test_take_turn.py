"""What a woken worker takes: the export or delivery whose turn it is, and nothing that would be too much at a time."""

import threading
from pathlib import Path

from exporting import PASSWORD, by_ftp, contact_changed, execute, messages, other_session, row_of, settings_for
from ftp_hosts import files, serving

from contactexport.backend import Backend
from contactexport.db import export_repository
from contactexport.models import ExportSettings
from contactexport.services import request_export
from contactexport.services.take_turn import take_turn


def accepted(backend: Backend, user: str, settings: ExportSettings) -> int:
    return request_export.store(backend, settings, PASSWORD if settings.ftp else None, user)


def turns(backend: Backend, most_running: int, *, deliveries: bool = False) -> list[int]:
    with backend.database.transaction() as conn:
        found = export_repository.in_turn(conn, deliveries=deliveries, most_running=most_running, most=20)
    return [export_id for export_id, _key in found]


def test_an_export_by_ftp_is_written_and_delivered_in_two_turns_of_one_attempt(backend: Backend, tmp_path: Path):
    contact_changed(backend)
    with serving(tmp_path / "host") as (port, _told):
        export_id = accepted(backend, "user", by_ftp(port))
        assert not take_turn(backend, deliveries=True, most_running=1)
        assert take_turn(backend, deliveries=False, most_running=1)
        assert (row_of(backend, export_id)["status"], files(tmp_path / "host")) == ("ready", [])
        assert [path.name.split(".", 1)[1] for path in messages(backend)] == ["contactexport.deliveries.msg"]
        assert not take_turn(backend, deliveries=False, most_running=1)
        assert take_turn(backend, deliveries=True, most_running=1)
    row = row_of(backend, export_id)
    assert (row["status"], row["attempt"], row["delivery_attempts"]) == ("done", 1, 1)


def test_a_host_receives_no_more_files_at_a_time_than_a_user_may_have_running(backend: Backend):
    one, other, elsewhere = (accepted(backend, user, by_ftp(21, folder=user)) for user in ("one", "other", "elsewhere"))
    execute(
        backend,
        "UPDATE export SET settings = jsonb_set(settings, '{ftp,host}', '\"another.example\"') WHERE id = %s",
        (elsewhere,),
    )
    execute(backend, "UPDATE export SET status = 'ready', bytes = 1, ready_at = clock_timestamp()")
    assert turns(backend, 2, deliveries=True) == [one, other, elsewhere]
    assert turns(backend, 1, deliveries=True) == [one, elsewhere]
    with other_session(backend) as worker, worker.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", (row_of(backend, one)["setting_key"],))
        assert turns(backend, 1, deliveries=True) == [elsewhere]
        assert turns(backend, 2, deliveries=True) == [other, elsewhere]


def test_a_request_that_is_being_refused_costs_an_export_no_wake_up(backend: Backend):
    """It holds the lock of the setting for a moment."""
    contact_changed(backend)
    export_id = accepted(backend, "user", settings_for())
    with other_session(backend) as refused, refused.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", (row_of(backend, export_id)["setting_key"],))
        released = threading.Timer(0.2, cursor.execute, ["SELECT pg_advisory_unlock_all()"])
        released.start()
        assert take_turn(backend, deliveries=False, most_running=1)
        released.join()
    assert row_of(backend, export_id)["status"] == "done"
