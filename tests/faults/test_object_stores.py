"""Files in an object store: workers are killed, the store goes away or refuses. One valid object is left, or none."""

import contextlib
import hashlib
import signal
from pathlib import Path

import pytest
import requests
import urllib3

from contactexport import readiness
from contactexport.context import Context
from contactexport.errors import StorageUnfit
from contactexport.exports import files, sweep
from contactexport.exports import run as run_export
from contactexport.files.object_store import ObjectStorage
from contactexport.files.storage import MARKER
from tests.support import object_stores
from tests.support.exporting import (
    add_contact,
    by_ftp,
    context_with,
    execute,
    make_due,
    request,
    row_of,
    run,
    settings_for,
)
from tests.support.feeds import add_feed, run_feed
from tests.support.ftp_hosts import many_changed, serving
from tests.support.invariants import wait_until_final
from tests.support.processes import server, worker
from tests.support.served import wait_until

# How many attempts an export needs whose first one is killed at that crash point.
ATTEMPTS = {
    "export claimed": 2,
    "rows half written": 2,
    "file written": 2,
    "file may appear": 2,
    "file named": 2,
    "marked ready": 2,
    "marked done": 1,
}
QUICKLY = {"file named"}


def stored(context: Context) -> list[str]:
    """The names of all objects and uploads, but the marker."""
    return sorted(file.name for file in context.storage.list() if file.name != MARKER)


def content_of(context: Context, row: dict) -> bytes:
    with context.storage.open_finished(row["stored_as"], row["bytes"]) as file:
        return file.read()


@pytest.mark.parametrize(
    "point", [pytest.param(point, marks=() if point in QUICKLY else pytest.mark.slow) for point in ATTEMPTS]
)
def test_export_survives_the_death_of_its_process(in_s3: Context, tmp_path: Path, point: str):
    many_changed(in_s3)
    inbox = tmp_path / "inbox"
    with serving(inbox) as (port, _told), worker(in_s3, concurrency=2, CRASH_POINT=f"{point}:1:SIGKILL") as killed:
        ids = [request(in_s3, settings_for()), request(in_s3, by_ftp(port))]
        rows = [wait_until_final(in_s3, export_id) for export_id in ids]
        assert [row["status"] for row in rows] == ["done", "done"]
        assert rows[0]["attempt"] == ATTEMPTS[point]
        assert hashlib.sha256(content_of(in_s3, rows[0])).hexdigest() == rows[0]["sha256"]
        [sent] = [path for path in inbox.rglob("*") if path.is_file()]
        assert (sent.name, hashlib.sha256(sent.read_bytes()).hexdigest()) == (rows[1]["file_name"], rows[1]["sha256"])
        wait_until(lambda: killed.deaths() == 2, "the worker has seen both die")
        wait_until(lambda: stored(in_s3) == [rows[0]["stored_as"]], "what dead attempts left is swept", 40)
        assert object_stores.SECRET not in killed.log.read_text()
        assert object_stores.KEY_ID not in killed.log.read_text()


def test_upload_of_a_killed_process_is_aborted_by_the_sweep(in_s3: Context, monkeypatch: pytest.MonkeyPatch):
    """Nothing of it shows as an object, but the store charges for its parts."""
    export_id = request(in_s3, settings_for())
    name = f"{row_of(in_s3, export_id)['file_name']}.1"
    with contextlib.suppress(BaseException):
        left_open(in_s3, name)
    execute(in_s3, "UPDATE export SET attempt = 1, status = 'in progress' WHERE id = %s", (export_id,))
    found = [(file.name, file.unfinished) for file in in_s3.storage.list()]
    assert found == [(name, True)]
    assert files.delete_orphans(in_s3) == 0, "its attempt may be running"
    execute(in_s3, "UPDATE export SET attempt = 2 WHERE id = %s", (export_id,))
    assert files.delete_orphans(in_s3) == 1
    assert stored(in_s3) == []


def left_open(context: Context, name: str) -> None:
    """An upload with a few parts that is neither completed nor aborted."""
    import obstore

    upload = obstore.open_writer(context.storage._store, name, buffer_size=5 << 20, max_concurrency=1)
    for _ in range(12):
        upload.write(bytes(1 << 20))


def test_export_waits_while_the_store_is_gone(context: Context, monkeypatch: pytest.MonkeyPatch):
    """An outage costs no attempt. Readiness, downloads and sweeps say so, and none of them ends in a traceback."""
    with object_stores.seaweedfs() as store:
        for name, value in store.environment.items():
            monkeypatch.setenv(name, value)
        in_store = context_with(context, storage=new_storage(store))
        done = run(in_store, request(in_store, settings_for()))
        export_id = request(in_store, settings_for(language="de"))
        other = context_with(in_store)
        with server(other) as answering:
            size = 40_000_000
            large = in_store.storage.write(
                done.file_name, 9, write_content=lambda to: to.write(bytes(size)), before_publish=lambda: None
            )
            execute(context, "UPDATE export SET bytes = %s, stored_as = %s", (size, large.stored_as))
            url = f"{answering.url}/api/v2/export/{done.id}/data"
            headers = {"Authorization": f"Bearer {answering.token}", "Accept-Encoding": "identity"}
            with requests.get(url, headers=headers, stream=True, timeout=60) as running:
                received = len(running.raw.read(100_000))
                store.process.send_signal(signal.SIGKILL)
                store.process.wait()
                with contextlib.suppress(requests.RequestException, urllib3.exceptions.HTTPError):
                    received += len(running.raw.read(size))
            assert received < size
            wait_until(lambda: answering.said("download broken off: reason=The object store"), "it is told")
            answer = answering.get(f"/api/v2/export/{done.id}/data")
            assert answer.status_code == 503
            ready = requests.get(f"{answering.url}/readyz", timeout=60)
            assert (ready.status_code, ready.json()["data"]["storage"]) == (503, "unavailable")
            assert "Traceback" not in answering.log.read_text()
        sweep.sweep(other)
        with pytest.raises(Exception, match=r"The object store s3://\S+ does not answer"):
            run_export.run(other, export_id)
        assert row_of(context, export_id)["status"] == "scheduled"


def new_storage(store: object_stores.Store):
    from contactexport import setting_values

    return setting_values.storage(store.new_url())


def test_store_that_goes_away_during_the_upload_costs_no_attempt(
    context: Context, in_s3: Context, monkeypatch: pytest.MonkeyPatch
):
    export_id = request(in_s3, settings_for())
    run_export.storage_check.require_storage(in_s3)
    assert list(in_s3.storage.list())
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    gone = ObjectStorage(in_s3.settings.storage)
    gone.__dict__["_quick"] = in_s3.storage._quick  # the marker is still read
    other = context_with(in_s3)
    other.__dict__["storage"] = gone
    export = run(other, export_id)
    assert (export.status, export.error, export.run_attempts) == ("in progress", "The storage is not available", 0)
    make_due(context, export_id)
    assert run(in_s3, export_id).status == "done"


def test_refused_write_ends_in_a_clear_error(in_s3: Context, monkeypatch: pytest.MonkeyPatch):
    run_export.storage_check.require_storage(in_s3)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", object_stores.READER_ID)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", object_stores.READER_SECRET)
    reader = context_with(in_s3, attempt_limit=1)
    export = run(reader, request(reader, settings_for()))
    reason = "The file cannot be written: the object store denies access (AccessDenied)"
    assert (export.status, export.error) == ("error", reason)


@pytest.mark.parametrize(
    ("variable", "value", "state", "told"),
    [
        (
            "AWS_ACCESS_KEY_ID",
            "nobody",
            "denied",
            "be read: the object store denies access (InvalidAccessKeyId)",
        ),
        ("AWS_SECRET_ACCESS_KEY", "wrong", "denied", "denies access (SignatureDoesNotMatch)"),
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:1", "unavailable", "does not answer"),
        ("AWS_ENDPOINT_URL", "http://no.such.host.invalid", "unavailable", "does not answer"),
    ],
)
def test_readiness_says_what_is_wrong(
    in_s3: Context, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, variable, value, state, told
):
    run_export.storage_check.require_storage(in_s3)
    monkeypatch.setenv(variable, value)
    assert readiness.check(context_with(in_s3))["storage"] == state
    assert told in caplog.text
    assert not any(secret in caplog.text for secret in (object_stores.SECRET, object_stores.KEY_ID, "Signature="))


def test_missing_bucket_is_told(in_s3: Context, caplog: pytest.LogCaptureFixture):
    from contactexport import setting_values

    other = context_with(in_s3, storage=setting_values.storage("s3://no-such-bucket/x"))
    assert readiness.check(other)["storage"] == "missing"
    assert "The bucket of the object store s3://no-such-bucket/x does not exist" in caplog.text


def test_expired_and_cancelled_exports_leave_no_object(in_s3: Context):
    done = run(in_s3, request(in_s3, settings_for()))
    assert stored(in_s3) == [done.stored_name]
    assert files.disk_use(in_s3) == (1, done.bytes)
    assert files.delete_orphans(in_s3) == 0
    execute(in_s3, "UPDATE export SET finished_at = finished_at - interval '31 days' WHERE id = %s", (done.id,))
    assert files.delete_expired(in_s3) == 1
    assert stored(in_s3) == []


def test_feed_has_a_manifest_beside_its_object_and_is_pulled_through_the_server(in_s3: Context, app, api):
    """A redirect would hide the headers with its number and manifest."""
    add_contact(in_s3, first_name="Anna")
    done = run_feed(in_s3, add_feed(in_s3))
    assert stored(in_s3) == [done.stored_name, done.stored_manifest_name]
    with in_s3.storage.open_finished(done.stored_manifest_name, len(done.manifest.encode())) as manifest:
        assert manifest.read().decode() == done.manifest
    assert files.delete_orphans(in_s3) == 0
    app.extensions["contactexport"] = context_with(in_s3, download_redirect=True)
    pulled = api.get("/api/v2/feed/nightly/next", buffered=True)
    assert (pulled.status_code, hashlib.sha256(pulled.data).hexdigest()) == (200, done.sha256)
    assert (pulled.headers["X-Feed-Sequence"], "describedby" in pulled.headers["Link"]) == ("1", True)


def test_objects_have_the_bytes_of_files(context: Context, in_s3: Context):
    """Also those of the spreadsheet profile, which writes through a text layer."""
    many_changed(context)
    for settings in (settings_for(header=True), settings_for(spreadsheet=True, header=True)):
        done = run(in_s3, request(in_s3, settings))
        with in_s3.storage.open_finished(done.stored_name, done.bytes) as file:
            content = file.read()
        assert hashlib.sha256(content).hexdigest() == done.sha256
        in_folder = context_with(context)
        in_folder.storage.write_marker(in_s3.storage.read_marker())
        assert run(in_folder, request(in_folder, settings)).sha256 == done.sha256


class _NoUploads:
    """A store whose key may not list uploads: SeaweedFS has no such right of its own."""

    def list(self, prefix: str):
        raise StorageUnfit("The object store lists no uploads: HTTP 403", "unavailable")


def test_orphans_are_deleted_where_uploads_cannot_be_listed(in_s3: Context, caplog: pytest.LogCaptureFixture):
    done = run(in_s3, request(in_s3, settings_for()))
    in_s3.storage.put_beside(done.stored_name + "0", 1, b"an orphan", lambda: None)
    in_s3.storage.__dict__["_unfinished"] = _NoUploads()
    assert files.delete_orphans(in_s3) == 1
    assert stored(in_s3) == [done.stored_name]
    assert caplog.text.count("unfinished uploads are not found") == 1


def test_outage_ends_the_deletion_of_expired_files_at_the_first(in_s3: Context, monkeypatch: pytest.MonkeyPatch):
    for code in ("en", "de"):
        run(in_s3, request(in_s3, settings_for(language=code)))
    execute(in_s3, "UPDATE export SET finished_at = finished_at - interval '31 days'")
    asked: list[str] = []

    def unreachable(_store: object, name: str) -> None:
        asked.append(name)
        raise OSError("error sending request: connection refused")

    monkeypatch.setattr("contactexport.files.object_store.obstore.delete", unreachable)
    with pytest.raises(StorageUnfit):
        files.delete_expired(in_s3)
    assert len(asked) == 1
    monkeypatch.undo()
