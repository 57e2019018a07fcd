"""The file of a feed is followed by its manifest, and `verify` accepts what a receiver then has."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from pyftpdlib.handlers import FTPHandler

from contactexport.context import Context
from contactexport.exports import cancel, files
from contactexport.exports import store as export_store
from contactexport.feeds import store as feed_store
from contactexport.feeds.models import Feed
from contactexport.manifests.manifest import digest
from contactexport.manifests.signing import PublicKeys
from contactexport.manifests.store import rotate_key
from contactexport.manifests.verify import Expected, verify
from tests.support import ftp_hosts
from tests.support.exporting import (
    TESTER,
    add_contact,
    context_with,
    database_time,
    execute,
    make_due,
    request,
    row_of,
    run,
    settings_for,
)
from tests.support.feed_receivers import by_ftp, verified
from tests.support.feeds import add_feed, attempt, feed_of, run_feed
from tests.support.ftp_hosts import serving


class NotesNames(FTPHandler):
    """Notes the names that files get, and refuses manifests while `refuses` has something in it."""

    named: list[str]
    refuses: list[str]

    def ftp_STOR(self, file: str, mode: str = "w") -> Any:
        if self.refuses and ".json" in file:
            return self.respond(f"{self.refuses.pop()} Not now.")
        return super().ftp_STOR(file, mode)

    def ftp_RNTO(self, path: str) -> Any:
        self.named.append(Path(path).name)
        return super().ftp_RNTO(path)


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    return tmp_path / "inbox"


def manifest_in(folder: Path, file_name: str) -> dict[str, Any]:
    return json.loads((folder / f"{file_name}.json").read_bytes())


def moved_cursor(context: Context, feed: Feed, cursor: Any) -> None:
    with context.database.transaction() as conn:
        feed_store.move_cursor(conn, feed, cursor)


def test_local_feed_leaves_a_folder_that_is_clean(context: Context):
    folder = context.settings.storage_dir
    feed = add_feed(context)
    ids = [add_contact(context, first_name=name) for name in ("Zoë", "Ann", "Bob")]
    first = run_feed(context, feed)
    execute(context, "DELETE FROM contact WHERE id = %s", (ids[0],))
    execute(context, "UPDATE contact SET origin_id = 124 WHERE id = %s", (ids[1],))
    execute(context, "UPDATE contact SET first_name = 'Bobby' WHERE id = %s", (ids[2],))
    second = run_feed(context, feed)
    report = verified(context, folder, sequence=2, last=feed_of(context, feed.id).last_manifest_sha256)
    assert (report.faults, report.files) == ([], 2)
    one, two = (manifest_in(folder, export.file_name) for export in (first, second))
    assert (one["feed"], one["feed_id"], one["sequence"], one["export"]) == ("nightly", feed.id, 1, first.id)
    assert (one["window"]["start"], one["previous"], one["rows"], one["removed"]) == (None, None, 3, 0)
    assert two["window"]["start"] == one["window"]["end"]
    assert two["previous"] == hashlib.sha256((folder / f"{first.file_name}.json").read_bytes()).hexdigest()
    assert (two["sequence"], two["rows"], two["removed"], two["bytes"]) == (2, 3, 2, second.bytes)
    assert two["columns"] == [
        [None, "user_id"], [1, "First Name"], [3, "E-Mail"], [None, "last update"], [None, "change"],
    ]  # fmt: skip


def test_end_of_the_chain_is_what_the_service_says(context: Context, api):
    """As the page tells a receiver to ask."""
    feed = add_feed(context)
    for _ in range(2):
        run_feed(context, feed)
    told = api.get("/api/v2/feed/nightly").get_json()["data"]
    expected = {"sequence": told["sequence"], "last": told["last_manifest_sha256"]}
    assert verified(context, context.settings.storage_dir, **expected).faults == []
    newest = sorted(context.settings.storage_dir.glob("changes*"))
    for path in newest:
        path.unlink()
    assert verified(context, context.settings.storage_dir).faults == []
    assert len(verified(context, context.settings.storage_dir, **expected).faults) == 2


def test_contact_that_was_removed_twice_counts_once_and_one_that_came_back_does_not(context: Context):
    feed = add_feed(context)
    ids = [add_contact(context) for _ in range(2)]
    run_feed(context, feed)
    for number in ids:
        execute(context, "UPDATE contact SET origin_id = 124 WHERE id = %s", (number,))
        execute(context, "UPDATE contact SET origin_id = 123 WHERE id = %s", (number,))
    execute(context, "DELETE FROM contact WHERE id = %s", (ids[0],))
    export = run_feed(context, feed)
    found = manifest_in(context.settings.storage_dir, export.file_name)
    assert (found["rows"], found["removed"]) == (2, 1)


def test_manifest_arrives_by_ftp_after_the_file(context: Context, inbox: Path):
    named: list[str] = []
    with serving(inbox, NotesNames, named=named, refuses=[]) as (port, _told):
        feed = add_feed(context, **by_ftp(port))
        exports = [run_feed(context, feed) for _ in range(2)]
    assert named == [name for export in exports for name in (export.file_name, f"{export.file_name}.json")]
    assert ftp_hosts.files(inbox) == sorted(named)
    assert ftp_hosts.files(context.settings.storage_dir) == []
    assert verified(context, inbox, sequence=2).faults == []


@pytest.mark.parametrize("reply", ["450", "550"])
def test_refused_manifest_is_delivered_again_with_its_file(context: Context, inbox: Path, reply: str):
    named: list[str] = []
    # Under its temporary name and under its own.
    with serving(inbox, NotesNames, named=named, refuses=[reply, reply]) as (port, _told):
        feed = add_feed(context, **by_ftp(port))
        waiting = run_feed(context, feed)
        assert (waiting.status, feed_of(context, feed.id).sequence) == ("ready", 0)
        assert [fault.file for fault in verified(context, inbox).faults][-1:] == [waiting.file_name]
        execute(context, "DELETE FROM ftp_host_trait")
        while waiting.status == "ready":
            make_due(context, waiting.id)
            waiting = attempt(context, waiting.id)
    assert (waiting.status, feed_of(context, feed.id).sequence) == ("done", 1)
    assert ftp_hosts.files(inbox) == [waiting.file_name, f"{waiting.file_name}.json"]
    assert verified(context, inbox).faults == []


def test_run_that_ended_in_error_after_its_manifest_arrived_is_superseded(
    context: Context, inbox: Path, monkeypatch: pytest.MonkeyPatch
):
    with serving(inbox, NotesNames, named=[], refuses=[]) as (port, _told):
        feed = add_feed(context, **by_ftp(port))
        run_feed(context, feed)
        with monkeypatch.context() as broken:
            broken.setattr(export_store, "mark_done", lambda *_: 1 / 0)
            lost = run_feed(context, feed)
        assert lost.status == "ready"
        cancel.cancel(context, lost.id, TESTER)
        add_contact(context)
        again, after = (run_feed(context, feed) for _ in range(2))
    assert [export.feed_sequence for export in (lost, again, after)] == [2, 2, 3]
    assert manifest_in(inbox, again.file_name)["supersedes"] == [lost.file_name]
    assert manifest_in(inbox, after.file_name)["supersedes"] == []
    assert len(ftp_hosts.files(inbox)) == 8
    report = verified(context, inbox, sequence=3)
    assert report.faults == []
    assert lost.file_name not in {one.file for one in report.chains[0].manifests}


def test_reset_columns_and_another_key_are_told_by_the_next_manifest(context: Context):
    feed = add_feed(context)
    add_contact(context)
    run_feed(context, feed)
    moved_cursor(context, feed, None)
    full = run_feed(context, feed)
    moved_cursor(context, feed, database_time(context))
    late = run_feed(context, feed)
    execute(context, "UPDATE contact_field SET name = 'Vorname', names = '{}' WHERE id = 1")
    moved_cursor(context, feed, None)
    renamed = run_feed(context, feed)
    rotate_key(context)
    rotated = run_feed(context, feed)
    found = [manifest_in(context.settings.storage_dir, one.file_name) for one in (full, late, renamed, rotated)]
    assert [one["reset"] for one in found] == [True, True, True, False]
    assert [one["columns_changed"] for one in found] == [False, False, True, False]
    assert found[2]["key_id"] != found[3]["key_id"]
    report = verified(context, context.settings.storage_dir)
    assert report.faults == []


def test_single_export_has_a_manifest_for_who_asks_and_none_beside_its_file(context: Context, tmp_path: Path, api):
    add_contact(context, first_name="Zoë")
    export_id = request(context, settings_for(type="full"))
    assert api.get(f"/api/v2/export/{export_id}/manifest").get_json()["replyCode"] == 4005
    export = run(context, export_id)
    assert ftp_hosts.files(context.settings.storage_dir) == [export.file_name]
    answer = api.get(f"/api/v2/export/{export_id}/manifest")
    assert (answer.status_code, answer.content_type) == (200, "application/json")
    assert answer.headers["ETag"] == f'"{digest(answer.data)}"'
    assert answer.data.decode() == row_of(context, export_id)["manifest"]
    assert (answer.json["feed"], answer.json["sequence"], answer.json["rows"]) == (None, 0, 1)
    keys = api.get("/api/v2/manifest-keys").get_data(as_text=True)
    (tmp_path / export.file_name).write_bytes(api.get(f"/api/v2/export/{export_id}/data", buffered=True).data)
    (tmp_path / f"{export.file_name}.json").write_bytes(answer.data)
    assert verify(tmp_path, PublicKeys.read(keys), Expected()).files == 1
    unchanged = api.get(f"/api/v2/export/{export_id}/manifest", headers={"If-None-Match": answer.headers["ETag"]})
    assert (unchanged.status_code, unchanged.data) == (304, b"")
    rotate_key(context)
    assert api.get(f"/api/v2/export/{export_id}/manifest").data == answer.data


def test_manifest_is_asked_for_by_who_may_see_the_export(context: Context, api, client):
    export = run(context, request(context, settings_for()))
    path = f"/api/v2/export/{export.id}/manifest"
    assert client.get(path).status_code == 401
    assert client.get("/api/v2/manifest-keys").status_code == 401
    execute(context, "UPDATE export SET team = 'other' WHERE id = %s", (export.id,))
    assert api.get(path).get_json()["replyText"] == "Invalid export ID"
    execute(context, "UPDATE export SET team = 'default', status = 'error' WHERE id = %s", (export.id,))
    assert (api.get(path).status_code, api.get(path).get_json()["replyCode"]) == (410, 4003)


def test_manifest_of_an_expired_file_is_deleted_with_it(context: Context, api):
    folder = context.settings.storage_dir
    feed = add_feed(context)
    export = run_feed(context, feed)
    assert files.disk_use(context) == (1, sum(path.stat().st_size for path in folder.glob("full*")))
    assert files.delete_orphans(context) == 0
    execute(context, "UPDATE export SET finished_at = finished_at - interval '1 year'")
    assert files.delete_expired(context) == 1
    assert ftp_hosts.files(folder) == []
    assert api.get(f"/api/v2/export/{export.id}/manifest").status_code == 200
    second = run_feed(context, feed)
    assert [fault.file for fault in verified(context, folder).faults] == [second.file_name]
    assert verified(context, folder, first=2).faults == []


def test_manifests_that_crashes_have_left_are_orphans(context: Context):
    folder = context.settings.storage_dir
    export = run_feed(context, add_feed(context))
    left = folder / f"{export.file_name}.json.1.part"
    left.write_text("{")
    assert files.delete_orphans(context) == 1
    cancel.cancel(context, export.id, TESTER)
    assert ftp_hosts.files(folder) == []
    (folder / f"{export.file_name}.json").write_text("{}")  # written after the cancel
    assert files.delete_orphans(context) == 1


def test_feed_waits_while_the_private_key_cannot_be_read(context: Context, api):
    """With two keys of which one is missing: the first of the installation is still there."""
    both = context_with(context, secret_key="new,old")
    add_contact(context)
    feed = add_feed(both)
    run_feed(both, feed)
    execute(context, "UPDATE manifest_key SET private_key = 'gAAAAAnonsense'")
    waiting = run_feed(both, feed)
    assert (waiting.status, waiting.run_attempts) == ("in progress", 0)
    assert waiting.error == "A stored secret cannot be read: the secret key was changed"
    single = run(both, request(both, settings_for()))
    answer = api.get(f"/api/v2/export/{single.id}/manifest")
    assert (single.status, answer.status_code) == ("done", 503)
    rotate_key(both)
    make_due(context, waiting.id)
    assert run(both, waiting.id).status == "done"
