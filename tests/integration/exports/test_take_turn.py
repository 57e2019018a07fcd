"""What a worker takes: the export or delivery whose turn it is, within the limit of its user or host."""

import threading
from pathlib import Path

import pytest

from contactexport.context import Context
from contactexport.db.connection import Connection
from contactexport.exports import accept
from contactexport.exports import store as export_store
from contactexport.exports.models import ExportSettings
from contactexport.exports.turn import take_turn
from tests.support.exporting import (
    PASSWORD,
    by_ftp,
    contact_changed,
    execute,
    messages,
    other_session,
    row_of,
    settings_for,
)
from tests.support.ftp_hosts import files, serving


def accepted(context: Context, user: str, settings: ExportSettings) -> int:
    return accept.store(context, settings, PASSWORD if settings.ftp else None, user)


def turns(context: Context, most_running: int, *, deliveries: bool = False) -> list[int]:
    with context.database.transaction() as conn:
        found = export_store.in_turn(conn, deliveries=deliveries, most_running=most_running, most=20)
    return [export_id for export_id, _key in found]


def test_ftp_export_is_written_and_delivered_in_two_turns_of_one_attempt(context: Context, tmp_path: Path):
    contact_changed(context)
    with serving(tmp_path / "host") as (port, _told):
        export_id = accepted(context, "user", by_ftp(port))
        assert not take_turn(context, deliveries=True, most_running=1)
        assert take_turn(context, deliveries=False, most_running=1)
        assert (row_of(context, export_id)["status"], files(tmp_path / "host")) == ("ready", [])
        assert [path.name.split(".", 1)[1] for path in messages(context)] == ["contactexport.deliveries.msg"]
        assert not take_turn(context, deliveries=False, most_running=1)
        assert take_turn(context, deliveries=True, most_running=1)
    row = row_of(context, export_id)
    assert (row["status"], row["attempt"], row["delivery_attempts"]) == ("done", 1, 1)


def test_host_receives_no_more_files_at_a_time_than_the_limit(context: Context):
    one, other, elsewhere = (accepted(context, user, by_ftp(21, folder=user)) for user in ("one", "other", "elsewhere"))
    execute(
        context,
        "UPDATE export SET settings = jsonb_set(settings, '{ftp,host}', '\"another.example\"') WHERE id = %s",
        (elsewhere,),
    )
    execute(context, "UPDATE export SET status = 'ready', bytes = 1, ready_at = clock_timestamp()")
    assert turns(context, 2, deliveries=True) == [one, other, elsewhere]
    assert turns(context, 1, deliveries=True) == [one, elsewhere]
    with other_session(context) as worker, worker.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", (row_of(context, one)["setting_key"],))
        assert turns(context, 1, deliveries=True) == [elsewhere]
        assert turns(context, 2, deliveries=True) == [other, elsewhere]


def test_request_that_is_being_refused_does_not_block_a_turn(context: Context):
    """Such a request holds the lock of the setting for a moment."""
    contact_changed(context)
    export_id = accepted(context, "user", settings_for())
    with other_session(context) as refused, refused.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", (row_of(context, export_id)["setting_key"],))
        released = threading.Timer(0.2, cursor.execute, ["SELECT pg_advisory_unlock_all()"])
        released.start()
        assert take_turn(context, deliveries=False, most_running=1)
        released.join()
    assert row_of(context, export_id)["status"] == "done"


def test_request_that_is_refused_between_two_questions_does_not_block_a_turn(
    context: Context, monkeypatch: pytest.MonkeyPatch
):
    contact_changed(context)
    export_id = accepted(context, "user", settings_for())
    with other_session(context) as refused, refused.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", (row_of(context, export_id)["setting_key"],))
        ask = export_store.has_held_back

        def ask_after_its_end(conn: Connection) -> bool:
            cursor.execute("SELECT pg_advisory_unlock_all()")
            return ask(conn)

        monkeypatch.setattr(export_store, "has_held_back", ask_after_its_end)
        assert take_turn(context, deliveries=False, most_running=1)
    assert row_of(context, export_id)["status"] == "done"


def test_turn_chosen_before_the_file_was_written_leaves_the_delivery_alone(
    context: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The rows and the locks are read one after the other. Meanwhile another worker may end its attempt."""
    contact_changed(context)
    with serving(tmp_path / "host") as (port, _told):
        export_id = accepted(context, "user", by_ftp(port))
        chosen = [(export_id, row_of(context, export_id)["setting_key"])]
        assert take_turn(context, deliveries=False, most_running=1)
        with monkeypatch.context() as patched:
            patched.setattr(export_store, "in_turn", lambda *_args, **_kwargs: chosen)
            assert not take_turn(context, deliveries=False, most_running=1)
        assert row_of(context, export_id)["delivery_attempts"] == 0
        assert take_turn(context, deliveries=True, most_running=1)
    assert [row_of(context, export_id)[column] for column in ("status", "attempt")] == ["done", 1]
