"""Retrying an export in error, from its file if it has one."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from contactexport.context import Context
from contactexport.errors import ExportAlreadyRunning, TooManyRequests, UnknownExport, UsageError
from contactexport.exports import accept, cancel, deliver
from contactexport.exports import retry as retry_export
from contactexport.exports import store as export_store
from contactexport.exports.retry import retry
from tests.support.exporting import (
    PASSWORD,
    TESTER,
    by_ftp,
    contact_changed,
    execute,
    messages,
    request,
    row_of,
    run,
    settings_for,
)
from tests.support.ftp_hosts import serving


def given_up(context: Context, port: int) -> int:
    """An export whose file is finished and whose delivery has failed for good."""
    contact_changed(context, first_name="before")
    export_id = request(context, by_ftp(port))
    execute(context, "UPDATE export SET created_at = created_at - interval '3 days'")
    assert run(context, export_id).status == "ready"
    execute(
        context,
        "UPDATE export SET status = 'error', due_at = NULL, finished_at = clock_timestamp(), ftp_secret = NULL,"
        " ready_at = ready_at - interval '2 days', delivery_attempts = 30",
    )
    return export_id


def test_retry_delivers_finished_file_without_a_new_query(context: Context, tmp_path: Path):
    with serving(tmp_path / "inbox") as (port, _told):
        pass
    export_id = given_up(context, port)
    execute(context, "UPDATE contact SET first_name = 'after'")
    for path in messages(context):
        path.unlink()
    revived = retry(context, export_id, PASSWORD)
    assert (revived.status, revived.error, revived.delivery_attempts) == ("ready", None, 0)
    assert len(messages(context)) == 1
    # The host is still down. The limits start again, so the export does not end at once.
    waiting = run(context, export_id)
    assert (waiting.status, waiting.delivery_attempts) == ("ready", 1)
    assert "before" in deliver.stored_file(context, waiting).read_text()


def test_retry_with_another_username_is_another_setting(context: Context, tmp_path: Path):
    with serving(tmp_path / "inbox", auth_failed_timeout=0) as (port, _told):
        contact_changed(context)
        settings = by_ftp(port, username="stranger")
        export_id = request(context, settings, "wrong")
        run(context, export_id)
        cancel.cancel(context, export_id, TESTER)
        revived = retry(context, export_id, PASSWORD, "user")
        assert revived.setting_key == revived.settings.key() != settings.key()
        assert revived.settings.ftp.username == "user"
        assert run(context, export_id).status == "done"


def test_retry_of_cancelled_export_writes_its_file_again(context: Context):
    contact_changed(context)
    export_id = request(context, by_ftp(1))
    assert run(context, export_id).status == "ready"
    cancel.cancel(context, export_id, TESTER)
    revived = retry(context, export_id, PASSWORD)
    assert (revived.status, revived.run_attempts, revived.error) == ("scheduled", 0, None)
    waiting = run(context, export_id)
    assert (waiting.status, waiting.rows) == ("ready", 1)
    assert deliver.stored_file(context, waiting).is_file()


def test_retry_of_export_whose_file_is_lost_writes_it_again(context: Context):
    export_id = request(context, settings_for())
    path = deliver.stored_file(context, run(context, export_id))
    path.unlink()
    execute(context, "UPDATE export SET status = 'error'")
    assert retry(context, export_id, None).status == "scheduled"
    assert run(context, export_id).status == "done"
    assert path.is_file()


def test_retry_refuses_export_that_is_not_in_error(context: Context):
    export_id = request(context, settings_for())
    with pytest.raises(UsageError, match=f"Export {export_id} is scheduled: only an export in error can be retried"):
        retry(context, export_id, None)
    run(context, export_id)
    with pytest.raises(UsageError, match="is done"):
        retry(context, export_id, None)
    with pytest.raises(UnknownExport):
        retry(context, 99, None)


def test_retry_needs_the_erased_password_again(context: Context):
    export_id = given_up(context, 1)
    with pytest.raises(UsageError, match="goes by FTP and its password was wiped: give it again"):
        retry(context, export_id, None)
    retry(context, export_id, "another")
    with context.database.transaction() as conn:
        stored = export_store.get(conn, export_id).ftp_secret
    assert context.secrets.decrypt(stored) == "another"


def test_retry_of_local_export_ignores_a_username(context: Context):
    export_id = request(context, settings_for())
    cancel.cancel(context, export_id, TESTER)
    assert retry(context, export_id, None, "user").settings == settings_for()


def test_retry_is_refused_while_the_same_setting_runs(context: Context):
    export_id = request(context, settings_for())
    cancel.cancel(context, export_id, TESTER)
    running = request(context, settings_for())
    with pytest.raises(ExportAlreadyRunning) as refusal:
        retry_export.retry(context, export_id, None)
    assert refusal.value.export_id == running
    assert row_of(context, export_id)["error"] == "cancelled"
    run(context, running)
    assert retry(context, export_id, None).status == "scheduled"


def cancelled_exports(context: Context, number: int) -> list[int]:
    others = ({"delimiter": ","}, {"delimiter": ";"}, {"language": "de"}, {"header": True})
    exports = [request(context, settings_for(**changes)) for changes in others[:number]]
    for export_id in exports:
        cancel.cancel(context, export_id, TESTER)
    return exports


def test_retry_counts_among_the_unfinished_exports_of_the_user(context: Context):
    exports = cancelled_exports(context, 3)
    for export_id in exports[:2]:
        retry(context, export_id, None, most_unfinished=2)
    with pytest.raises(TooManyRequests, match="Too many unfinished exports: 2 is the limit"):
        retry(context, exports[2], None, most_unfinished=2)
    assert row_of(context, exports[2])["status"] == "error"
    run(context, exports[0])
    assert retry(context, exports[2], None, most_unfinished=2).status == "scheduled"


def test_retries_at_once_do_not_pass_the_limit_together(context: Context, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(retry_export, "BUSY_LOCK_SECONDS", 60)
    first, second = cancelled_exports(context, 2)
    with ThreadPoolExecutor(1) as thread:
        with context.database.transaction() as conn:
            export = export_store.get(conn, first)
            accept.require_few_unfinished(conn, export, 1)
            export_store.retry(conn, export, None, has_file=False)
            other = thread.submit(retry, context, second, None, most_unfinished=1)
            waiting = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
            while not (other.done() or execute(context, waiting)):
                pass
        with pytest.raises(TooManyRequests):
            other.result()
    assert [row_of(context, one)["status"] for one in (first, second)] == ["scheduled", "error"]


def test_two_retries_at_once_retry_the_export_once(context: Context):
    export_id = request(context, settings_for())
    cancel.cancel(context, export_id, TESTER)
    with context.database.transaction() as conn:
        export = export_store.get(conn, export_id)
        export_store.retry(conn, export, None, has_file=False)
        with pytest.raises(UnknownExport):
            export_store.retry(conn, export, None, has_file=False)


@pytest.mark.parametrize("damage", [lambda path: path.write_bytes(b"cut"), lambda path: path.symlink_to("nowhere")])
def test_retry_writes_damaged_file_again(context: Context, tmp_path: Path, damage):
    with serving(tmp_path / "inbox") as (port, _told):
        pass
    export_id = given_up(context, port)
    execute(context, "UPDATE contact SET first_name = 'after'")
    path = context.settings.storage_dir / row_of(context, export_id)["file_name"]
    path.unlink()
    damage(path)
    assert retry(context, export_id, PASSWORD).status == "scheduled"
    waiting = run(context, export_id)
    assert (waiting.status, waiting.delivery_attempts) == ("ready", 1)
    assert "after" in path.read_text()


@pytest.mark.parametrize("damage", [lambda path: path.write_bytes(b"cut"), lambda path: path.symlink_to("nowhere")])
def test_damaged_file_is_not_uploaded(context: Context, tmp_path: Path, damage, caplog):
    inbox = tmp_path / "inbox"
    with serving(inbox) as (port, _told):
        pass
    export_id = given_up(context, port)
    execute(context, "UPDATE export SET status = 'ready', due_at = clock_timestamp(), finished_at = NULL")
    path = context.settings.storage_dir / row_of(context, export_id)["file_name"]
    path.unlink()
    damage(path)
    execute(context, "UPDATE export SET ready_at = clock_timestamp()")
    tried = run(context, export_id)
    assert tried.status == "ready"
    assert "is damaged" in tried.error
    assert [one for one in inbox.rglob("*") if one.is_file()] == []
    assert any(one.levelname == "ERROR" and path.name in one.getMessage() for one in caplog.records)


def test_retry_does_not_count_on_a_file_that_was_deleted_meanwhile(context: Context, tmp_path: Path):
    with serving(tmp_path / "inbox") as (port, _told):
        pass
    export_id = given_up(context, port)
    with context.database.transaction() as conn:
        export = export_store.get(conn, export_id)
        export_store.note_file_deleted(conn, export_id)
        revived = export_store.retry(conn, export, None, has_file=True)
    assert (revived.status, revived.ready_at) == ("scheduled", None)
