"""What `verify` accepts and what not, one case each."""

import json
import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import rfc8785

from contactexport.cli.verify import lines
from contactexport.errors import UsageError
from contactexport.manifests.manifest import digest
from contactexport.manifests.signing import PublicKeys, SigningKey, key_id, key_set
from contactexport.manifests.verify import Expected, verify
from tests.support.feed_folders import FeedFolder

BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


@pytest.fixture
def feed(tmp_path: Path) -> FeedFolder:
    """A feed with three files."""
    made = FeedFolder(tmp_path / "feed")
    made.folder.mkdir()
    for _ in range(3):
        made.run()
    return made


def faults(of: FeedFolder, **expected: Any) -> list[str]:
    return [f"{one.file}: {one.what}" for one in verify(of.folder, of.public_keys, Expected(**expected)).faults]


def rewritten(feed: FeedFolder, name: str, change: Callable[[dict[str, Any]], Any], *, signed: bool = True) -> None:
    """Changes a manifest, and signs it with the key of the service."""
    path = feed.folder / f"{name}.json"
    content = json.loads(path.read_bytes())
    signature = content.pop("signature")
    change(content)
    if signed:
        signature = feed.keys[-1].sign(rfc8785.dumps(content))
    path.write_bytes(rfc8785.dumps({**content, "signature": signature}))


def test_key_ids_are_thumbprints():
    """The example of RFC 8037, A.3."""
    public = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
    assert key_id(public) == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


def test_signature_counts_in_one_form_only(feed: FeedFolder):
    """The last digit of a signature in base64 has four bits that mean nothing."""
    path = feed.folder / f"{feed.files[-1]}.json"
    content = json.loads(path.read_bytes())
    signature = content["signature"]
    other = signature[:85] + BASE64[BASE64.index(signature[85]) ^ 1] + "=="
    path.write_bytes(rfc8785.dumps({**content, "signature": other}))
    assert "wrong signature" in faults(feed)[0]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"rows":', '"rows":99,"rows":'),
        ('{"bytes"', '{ "bytes"'),
        ('"sequence":3', '"sequence":3.0'),
        ("nightly", "\\u006eightly"),
    ],
)
def test_the_same_object_written_otherwise_is_found(feed: FeedFolder, old: str, new: str):
    path = feed.folder / f"{feed.files[-1]}.json"
    written = path.read_text()
    assert old in written
    path.write_text(written.replace(old, new, 1))
    (fault,) = faults(feed)
    assert fault.startswith(f"{path.name}: is not as it was written")


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[" * 100_000, b"\xff\xfe", b"null", b'{"format":"other"}', b'{"format":' + b"9" * 5000 + b"}"],
)
def test_file_that_is_no_manifest_is_a_fault(feed: FeedFolder, content: bytes):
    (feed.folder / "x.json").write_bytes(content)
    (fault,) = faults(feed)
    assert fault.startswith("x.json: is no manifest")
    assert faults(feed, feed="nightly") == [fault]  # whose it was is not known


def test_odd_numbers_in_a_manifest_are_a_fault(feed: FeedFolder):
    for odd in ("1e999", "NaN", "9" * 30, '"\\ud800"'):
        (feed.folder / "x.json").write_text(f'{{"format":"contactexport-manifest-1","rows":{odd}}}')
        assert "x.json: is not as it was written" in faults(feed)[0]


def test_signed_manifest_without_what_is_needed_is_a_fault(feed: FeedFolder):
    rewritten(feed, feed.files[-1], lambda content: content.update(rows="many", window=None))
    assert faults(feed) == [f"{feed.files[-1]}.json: lacks a proper value for start, end, rows"] + [
        fault for fault in faults(feed) if "no manifest" in fault
    ]


def test_links_pipes_and_folders_are_no_files(feed: FeedFolder, tmp_path: Path):
    first, second, third = (feed.folder / name for name in feed.files)
    first.rename(tmp_path / "elsewhere")
    first.symlink_to(tmp_path / "elsewhere")
    second.unlink()
    os.mkfifo(second)
    third.unlink()
    third.mkdir()
    assert set(faults(feed)) == {
        f"{first.name}: cannot be read: it is a link",
        f"{second.name}: cannot be read: it is no regular file",
        f"{third.name}: cannot be read: it is no regular file",
    }


def test_hidden_manifest_is_looked_at(feed: FeedFolder):
    """A reader that takes *.json might take it."""
    (feed.folder / ".evil.csv.json").write_text("{}")
    (feed.folder / "EVIL.CSV.JSON").write_text("{}")
    assert [fault.partition(":")[0] for fault in faults(feed)] == [".evil.csv.json", "EVIL.CSV.JSON"]


def test_file_without_manifest_is_a_fault_unless_a_feed_is_named(feed: FeedFolder):
    (feed.folder / "changes_77_en-0a0b0c.csv").write_text("x")
    (feed.folder / "changes_78_en-0a0b0c.csv.1.part").write_text("x")
    assert [fault.partition(":")[0] for fault in faults(feed)] == ["changes_77_en-0a0b0c.csv"]
    assert faults(feed, feed="nightly") == []


def test_names_cannot_forge_a_line(feed: FeedFolder):
    (feed.folder / "a\nok: 3 files\x1b[2J").write_text("x")
    report = verify(feed.folder, feed.public_keys, Expected())
    assert list(lines(report)) == [
        "'a\\nok: 3 files\\x1b[2J': has no manifest: it is not complete, or does not come from the service"
    ]


def test_file_of_keys_may_be_in_the_folder(feed: FeedFolder):
    keys = feed.folder / "keys.json"
    keys.write_text(feed.key_file())
    assert verify(feed.folder, feed.public_keys, Expected(), keys).faults == []
    assert len(faults(feed)) == 1


def test_first_files_may_be_deleted_if_said(feed: FeedFolder):
    for suffix in ("", ".json"):
        (feed.folder / f"{feed.files[0]}{suffix}").unlink()
    assert faults(feed) == [f"{feed.files[1]}: is 2 of the feed nightly, and sequence 1 is missing before it"]
    assert faults(feed, first=2) == []
    assert faults(feed, first=3) == []


def test_missing_files_in_between_are_told_by_their_sequences(feed: FeedFolder):
    feed.run()
    for name in feed.files[1:3]:
        for suffix in ("", ".json"):
            (feed.folder / f"{name}{suffix}").unlink()
    assert faults(feed) == [f"{feed.files[3]}: is 4 of the feed nightly, and sequences 2 to 3 are missing before it"]


def test_window_that_does_not_begin_at_the_end_of_the_one_before_is_a_fault(feed: FeedFolder):
    """A fault of the service itself, which it has signed."""
    end = feed.cursor
    feed.cursor += timedelta(microseconds=1)
    name = feed.run()
    assert f"{end:%Y-%m-%dT%H:%M:%S.%f}Z" in faults(feed)[0]
    assert faults(feed)[0].startswith(name)


def test_window_after_a_reset_is_told(feed: FeedFolder):
    end = feed.cursor
    feed.cursor, feed.reset = end + timedelta(days=2), True
    feed.run()
    report = verify(feed.folder, feed.public_keys, Expected())
    assert report.faults == []
    assert [len(chain.uncovered) for chain in report.chains] == [1]
    feed.cursor, feed.reset = None, True
    feed.run()
    assert verify(feed.folder, feed.public_keys, Expected()).chains[0].uncovered == []


def test_changed_columns_that_a_manifest_does_not_tell_are_a_fault(feed: FeedFolder):
    feed.columns = feed.columns[:-1]
    name = feed.run()
    assert faults(feed) == []
    rewritten(feed, name, lambda content: content.update(columns_changed=False))
    assert "other columns" in faults(feed)[0]


def test_key_that_was_retired_cannot_go_on(feed: FeedFolder):
    """Who has stolen it could else write new files after those of its successor."""
    old, new = feed.keys[0], SigningKey.new()
    feed.keys.append(new)
    feed.run()
    feed.keys.append(old)
    name = feed.run()
    feed.keys.pop()
    assert faults(feed) == [f"{name}: is signed with an older key than {feed.files[-2]}"]


def test_feed_that_was_deleted_and_made_again_is_a_chain_of_its_own(feed: FeedFolder):
    again = FeedFolder(feed.folder, feed_id=9, next_export=50, keys=feed.keys)
    again.run()
    assert faults(feed) == []
    with pytest.raises(UsageError, match=r"nightly \(3\), nightly \(9\)"):
        faults(feed, sequence=3)
    assert faults(feed, feed="3", sequence=3) == []
    assert "1, and 3 is expected" in faults(feed, feed="9", sequence=3)[0]


@pytest.mark.parametrize("expected", [{}, {"sequence": 1}, {"last": "0" * 64}, {"feed": "other"}])
def test_empty_folder_is_a_fault(feed: FeedFolder, tmp_path: Path, expected: dict[str, Any]):
    feed.folder = tmp_path / "empty"
    feed.folder.mkdir()
    assert faults(feed, **expected)[0].startswith(f"{feed.folder}: has no manifest")


def test_folder_of_single_exports_does_not_stand_for_a_feed(feed: FeedFolder):
    for name in feed.files:
        rewritten(feed, name, lambda content: content.update(feed=None, feed_id=None, sequence=0))
    assert faults(feed) == []
    assert faults(feed, sequence=1) == [f"{feed.folder}: has no manifest of a feed"]


def test_superseded_file_cannot_pass_for_the_one_that_counts(feed: FeedFolder):
    late = feed.run(fails_with=("file", "manifest"))
    feed.run()
    newest = feed.run()
    assert faults(feed) == []
    for suffix in ("", ".json"):
        (feed.folder / f"{feed.files[-2]}{suffix}").unlink()
    assert faults(feed) == [f"{newest}: does not follow {late}: its manifest names another one before it"]


def test_two_runs_of_a_sequence_of_which_none_supersedes_the_other_are_a_fault(feed: FeedFolder):
    late = feed.run(fails_with=("file", "manifest"))
    feed.failed = []
    assert f"has the sequence 4, and {late} has it, too" in faults_after_run(feed)[0]


def faults_after_run(feed: FeedFolder) -> list[str]:
    feed.run()
    return faults(feed)


def test_last_manifest_is_known_by_its_digest(feed: FeedFolder):
    assert faults(feed, last=digest(feed.manifests[-1].encode()).upper()) == []
    (fault,) = faults(feed, last="f" * 64)
    assert fault.startswith(feed.files[-1])


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"keys":[]}', '{"keys":[{"kty":"OKP","crv":"Ed25519","x":"AA"}]}', "-----BEGIN"]
)
def test_file_without_keys_is_refused(text: str):
    with pytest.raises(ValueError, match="JWK Set"):
        PublicKeys.read(text)


def test_keys_are_read_as_the_api_answers_them():
    key = SigningKey.new()
    answer = {"replyCode": 0, "replyText": "OK", "data": key_set([key.public], made_at=["2026-03-01"])}
    assert list(PublicKeys.read(json.dumps(answer)).by_id) == [key_id(key.public)]


def test_key_goes_by_no_other_id():
    ours, thief = SigningKey.new(), SigningKey.new()
    forged = key_set([thief.public])
    forged["keys"][0]["kid"] = key_id(ours.public)
    assert list(PublicKeys.read(json.dumps(forged)).by_id) == [key_id(thief.public)]


def test_private_key_is_not_in_its_text():
    key = SigningKey.new()
    assert key.to_text() not in f"{key} {key!r}"
    assert SigningKey.from_text(key.to_text()).public == key.public
