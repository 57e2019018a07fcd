"""A feed is verified where its files were made."""

import pytest

from contactexport.exports import verify_feed
from tests.support.exporting import add_contact, execute
from tests.support.feeds import add_feed, feed_of, run_feed


@pytest.fixture
def feed(context):
    """One with three files."""
    added = add_feed(context)
    for _ in range(3):
        add_contact(context, first_name="Anna")
        assert run_feed(context, added).status == "done"
    return feed_of(context, added.id)


def faults(context, feed) -> list[tuple[str, str]]:
    return [(fault.file, fault.what) for fault in verify_feed.verify(context, feed).faults]


def export_of(context, feed, sequence: int):
    return execute(context, "SELECT * FROM export WHERE feed_id = %s AND feed_sequence = %s", (feed.id, sequence))[0]


def test_feed_as_it_was_written_has_no_fault(context, feed):
    report = verify_feed.verify(context, feed)
    assert (report.faults, report.manifests, report.oldest, report.files, report.unread) == ([], 3, 1, 3, 0)
    assert report.bytes == sum(export_of(context, feed, sequence)["bytes"] for sequence in (1, 2, 3))


def test_feed_without_a_file_has_no_fault(context):
    report = verify_feed.verify(context, add_feed(context))
    assert (report.faults, report.manifests, report.files) == ([], 0, 0)


def test_changed_byte_of_a_stored_file_is_found(context, feed):
    row = export_of(context, feed, 2)
    path = context.settings.storage_dir / row["file_name"]
    content = path.read_bytes()
    path.write_bytes(content.replace(b"Anna", b"Otto"))
    assert faults(context, feed) == [(row["file_name"], "has another content than its manifest says (SHA-256)")]


def test_missing_file_is_a_fault_and_a_deleted_one_is_none(context, feed):
    row = export_of(context, feed, 1)
    (context.settings.storage_dir / row["file_name"]).unlink()
    assert faults(context, feed) == [(row["file_name"], "The finished file is missing from the storage folder")]
    execute(context, "UPDATE export SET file_deleted_at = now() WHERE id = %s", (row["id"],))
    assert faults(context, feed) == []


def test_altered_manifest_is_found(context, feed):
    row = export_of(context, feed, 2)
    execute(
        context, "UPDATE export SET manifest = replace(manifest, '\"rows\":', '\"rows\":1') WHERE id = %s", (row["id"],)
    )
    found = dict(faults(context, feed))
    assert found[row["file_name"] + ".json"] == "has a wrong signature: it was altered, or signed with another key"


def test_manifest_of_another_run_is_found(context, feed):
    other = export_of(context, feed, 1)["manifest"]
    row = export_of(context, feed, 2)
    execute(context, "UPDATE export SET manifest = %s WHERE id = %s", (other, row["id"]))
    assert f"is not about export {row['id']}" in dict(faults(context, feed))[row["file_name"] + ".json"]


def test_run_that_is_gone_leaves_a_gap(context, feed):
    execute(context, "DELETE FROM export WHERE id = %s", (export_of(context, feed, 2)["id"],))
    assert [what for _, what in faults(context, feed)] == [
        "is 3 of the feed nightly, and sequence 2 is missing before it"
    ]


def test_newest_run_that_is_gone_is_missed(context, feed):
    execute(context, "DELETE FROM export WHERE id = %s", (export_of(context, feed, 3)["id"],))
    assert faults(context, feed) == [("nightly", "has come to sequence 3, and the newest file has 2")]


def test_files_are_left_unread_when_the_time_is_over(context, feed):
    report = verify_feed.verify(context, feed, seconds=0)
    assert (report.faults, report.files, report.unread) == ([], 0, 3)
