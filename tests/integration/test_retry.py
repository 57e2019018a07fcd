"""`retry`: an export in error is taken up again, from its file if it has one."""

from pathlib import Path

import pytest
from exporting import PASSWORD, TESTER, by_ftp, contact_changed, execute, messages, request, row_of, run, settings_for
from ftp_hosts import serving

from contactexport.backend import Backend
from contactexport.db import export_repository
from contactexport.errors import ExportAlreadyRunning, UnknownExport, UsageError
from contactexport.services import cancel_export, deliver_export, retry_export
from contactexport.services.retry_export import retry


def given_up(backend: Backend, port: int) -> int:
    """An export whose file is finished and whose delivery has failed for good."""
    contact_changed(backend, first_name="before")
    export_id = request(backend, by_ftp(port))
    execute(backend, "UPDATE export SET created_at = created_at - interval '3 days'")
    assert run(backend, export_id).status == "ready"
    execute(
        backend,
        "UPDATE export SET status = 'error', due_at = NULL, finished_at = clock_timestamp(), ftp_secret = NULL,"
        " ready_at = ready_at - interval '2 days', delivery_attempts = 30",
    )
    return export_id


def test_a_finished_file_is_delivered_without_a_new_query(backend: Backend, tmp_path: Path):
    with serving(tmp_path / "inbox") as (port, _told):
        pass
    export_id = given_up(backend, port)
    execute(backend, "UPDATE contact SET first_name = 'after'")
    for path in messages(backend):
        path.unlink()
    revived = retry(backend, export_id, PASSWORD)
    assert (revived.status, revived.error, revived.delivery_attempts) == ("ready", None, 0)
    assert len(messages(backend)) == 1
    # The host is still down: the limits begin anew, so the export is not given up at once.
    waiting = run(backend, export_id)
    assert (waiting.status, waiting.delivery_attempts) == ("ready", 1)
    assert "before" in deliver_export.stored_file(backend, waiting).read_text()


def test_with_another_username_and_password_it_is_another_setting(backend: Backend, tmp_path: Path):
    with serving(tmp_path / "inbox", auth_failed_timeout=0) as (port, _told):
        contact_changed(backend)
        settings = by_ftp(port, username="stranger")
        export_id = request(backend, settings, "wrong")
        run(backend, export_id)
        cancel_export.cancel(backend, export_id, TESTER)
        revived = retry(backend, export_id, PASSWORD, "user")
        assert revived.setting_key == revived.settings.key() != settings.key()
        assert revived.settings.ftp.username == "user"
        assert run(backend, export_id).status == "done"


def test_an_export_that_was_cancelled_with_its_file_starts_anew(backend: Backend):
    contact_changed(backend)
    export_id = request(backend, by_ftp(1))
    assert run(backend, export_id).status == "ready"
    cancel_export.cancel(backend, export_id, TESTER)
    revived = retry(backend, export_id, PASSWORD)
    assert (revived.status, revived.run_attempts, revived.error) == ("scheduled", 0, None)
    waiting = run(backend, export_id)
    assert (waiting.status, waiting.rows) == ("ready", 1)
    assert deliver_export.stored_file(backend, waiting).is_file()


def test_an_export_whose_file_vanished_starts_anew(backend: Backend):
    export_id = request(backend, settings_for())
    path = deliver_export.stored_file(backend, run(backend, export_id))
    path.unlink()
    execute(backend, "UPDATE export SET status = 'error'")
    assert retry(backend, export_id, None).status == "scheduled"
    assert run(backend, export_id).status == "done"
    assert path.is_file()


def test_only_an_export_in_error_is_tried_again(backend: Backend):
    export_id = request(backend, settings_for())
    with pytest.raises(UsageError, match=f"Export {export_id} is scheduled: only one in error is tried again"):
        retry(backend, export_id, None)
    run(backend, export_id)
    with pytest.raises(UsageError, match="is done"):
        retry(backend, export_id, None)
    with pytest.raises(UnknownExport):
        retry(backend, 99, None)


def test_a_wiped_password_must_be_given_again(backend: Backend):
    export_id = given_up(backend, 1)
    with pytest.raises(UsageError, match="goes by FTP and its password was wiped: give it again"):
        retry(backend, export_id, None)
    retry(backend, export_id, "another")
    with backend.database.transaction() as conn:
        stored = export_repository.get(conn, export_id).ftp_secret
    assert backend.secrets.decrypt(stored) == "another"


def test_a_username_means_nothing_to_a_local_export(backend: Backend):
    export_id = request(backend, settings_for())
    cancel_export.cancel(backend, export_id, TESTER)
    assert retry(backend, export_id, None, "user").settings == settings_for()


def test_the_same_setting_running_meanwhile_refuses_a_retry(backend: Backend):
    export_id = request(backend, settings_for())
    cancel_export.cancel(backend, export_id, TESTER)
    running = request(backend, settings_for())
    with pytest.raises(ExportAlreadyRunning) as refusal:
        retry_export.retry(backend, export_id, None)
    assert refusal.value.export_id == running
    assert row_of(backend, export_id)["error"] == "cancelled"
    run(backend, running)
    assert retry(backend, export_id, None).status == "scheduled"


def test_two_retries_at_once_revive_the_export_once(backend: Backend):
    export_id = request(backend, settings_for())
    cancel_export.cancel(backend, export_id, TESTER)
    with backend.database.transaction() as conn:
        export = export_repository.get(conn, export_id)
        export_repository.retry(conn, export, None, has_file=False)
        with pytest.raises(UnknownExport):
            export_repository.retry(conn, export, None, has_file=False)


@pytest.mark.parametrize("damage", [lambda path: path.write_bytes(b"cut"), lambda path: path.symlink_to("nowhere")])
def test_a_damaged_file_is_written_anew(backend: Backend, tmp_path: Path, damage):
    with serving(tmp_path / "inbox") as (port, _told):
        pass
    export_id = given_up(backend, port)
    execute(backend, "UPDATE contact SET first_name = 'after'")
    path = backend.settings.storage_dir / row_of(backend, export_id)["file_name"]
    path.unlink()
    damage(path)
    assert retry(backend, export_id, PASSWORD).status == "scheduled"
    waiting = run(backend, export_id)
    assert (waiting.status, waiting.delivery_attempts) == ("ready", 1)
    assert "after" in path.read_text()


@pytest.mark.parametrize("damage", [lambda path: path.write_bytes(b"cut"), lambda path: path.symlink_to("nowhere")])
def test_a_damaged_file_is_not_uploaded(backend: Backend, tmp_path: Path, damage, caplog):
    inbox = tmp_path / "inbox"
    with serving(inbox) as (port, _told):
        pass
    export_id = given_up(backend, port)
    execute(backend, "UPDATE export SET status = 'ready', due_at = clock_timestamp(), finished_at = NULL")
    path = backend.settings.storage_dir / row_of(backend, export_id)["file_name"]
    path.unlink()
    damage(path)
    execute(backend, "UPDATE export SET ready_at = clock_timestamp()")
    tried = run(backend, export_id)
    assert tried.status == "ready"
    assert "is damaged" in tried.error
    assert [one for one in inbox.rglob("*") if one.is_file()] == []
    assert any(one.levelname == "ERROR" and path.name in one.getMessage() for one in caplog.records)
