"""Whatever is done to a folder of a feed is found, and a folder to which nothing was done is clean."""

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from contactexport.manifests.manifest import digest
from contactexport.manifests.signing import SigningKey, key_id
from contactexport.manifests.verify import Expected, Report, verify
from tests.support.feed_folders import FeedFolder

STEPS = (
    "run",
    "fails silently",
    "fails after the file",
    "fails after the manifest",
    "new columns",
    "new key",
    "reset to a time",
    "reset to all",
)
FAILS_WITH = {"fails silently": (), "fails after the file": ("file",), "fails after the manifest": ("file", "manifest")}
HISTORIES = st.lists(st.sampled_from(STEPS), max_size=8)


@contextmanager
def folder_of(history: list[str]) -> Iterator[FeedFolder]:
    """A folder with three runs at least, of which this happened in between."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None) as path:
        feed = FeedFolder(Path(path))
        for step in ("run", *history, "run", "run"):
            if step in FAILS_WITH:
                feed.run(fails_with=FAILS_WITH[step])
            elif step == "new columns":
                feed.columns = [*feed.columns[:1], (len(feed.columns), f"field {feed.now}"), *feed.columns[1:]]
            elif step == "new key":
                feed.keys.append(SigningKey.new())
            elif step == "reset to a time" and feed.cursor:
                feed.cursor, feed.reset = feed.cursor + timedelta(hours=1), True
            elif step == "reset to all":
                feed.cursor, feed.reset = None, True
            else:
                feed.run()
        yield feed


def looked_at(of: FeedFolder, **expected: Any) -> Report:
    return verify(of.folder, of.public_keys, Expected(**expected))


def named(report: Report) -> set[str]:
    return {fault.file.removesuffix(".json") for fault in report.faults}


@settings(max_examples=40)
@given(HISTORIES)
def test_untouched_folder_is_clean(history: list[str]):
    with folder_of(history) as feed:
        newest = digest(feed.manifests[-1].encode())
        for expected in ({}, {"feed": "nightly"}, {"feed": "3"}, {"sequence": len(feed.manifests)}, {"last": newest}):
            report = looked_at(feed, **expected)
            assert report.faults == []
        (chain,) = report.chains
        assert [one.file for one in chain.manifests] == feed.files


@settings(max_examples=40)
@given(HISTORIES, st.data())
def test_one_altered_byte_is_found(history: list[str], data: st.DataObject):
    with folder_of(history) as feed:
        path = data.draw(st.sampled_from(with_manifest(feed)))
        content = bytearray(path.read_bytes())
        place = data.draw(st.integers(0, len(content) - 1))
        content[place] ^= data.draw(st.integers(1, 255))
        path.write_bytes(content)
        assert path.name.removesuffix(".json") in named(looked_at(feed))


@settings(max_examples=40)
@given(HISTORIES, st.data())
def test_altered_length_is_found(history: list[str], data: st.DataObject):
    with folder_of(history) as feed:
        path = data.draw(st.sampled_from(with_manifest(feed)))
        content = path.read_bytes()
        place = data.draw(st.integers(0, len(content) - 1))
        added = data.draw(st.sampled_from([b"", b"", b" ", b"\n", b"\0", b'"rows":1,']))
        path.write_bytes(content[:place] + added + content[place + (not added) :] if added else content[:place])
        assert path.name.removesuffix(".json") in named(looked_at(feed))


@settings(max_examples=40)
@given(HISTORIES, st.data())
def test_missing_file_is_found(history: list[str], data: st.DataObject):
    with folder_of(history) as feed:
        name = data.draw(st.sampled_from(feed.files))
        what = data.draw(st.sampled_from(["file", "manifest", "both"]))
        if what != "manifest":
            (feed.folder / name).unlink()
        if what != "file":
            (feed.folder / f"{name}.json").unlink()
        if what != "both":
            assert name in named(looked_at(feed))
        elif name != feed.files[-1]:
            assert feed.files[feed.files.index(name) + 1] in named(looked_at(feed))


@settings(max_examples=40)
@given(HISTORIES, st.integers(1, 3))
def test_missing_end_is_found_by_who_knows_the_sequence_or_the_last_manifest(history: list[str], dropped: int):
    with folder_of(history) as feed:
        for name in feed.files[-dropped:]:
            (feed.folder / name).unlink()
            (feed.folder / f"{name}.json").unlink()
        assert looked_at(feed, sequence=len(feed.manifests)).faults != []
        assert looked_at(feed, last=digest(feed.manifests[-1].encode())).faults != []


@settings(max_examples=40)
@given(HISTORIES, st.data())
def test_swapped_files_are_found(history: list[str], data: st.DataObject):
    with folder_of(history) as feed:
        one, other = data.draw(st.lists(st.sampled_from(feed.files), min_size=2, max_size=2, unique=True))
        for suffix in data.draw(st.sampled_from([("",), (".json",), ("", ".json")])):
            swap(feed.folder / f"{one}{suffix}", feed.folder / f"{other}{suffix}")
        assert {one, other} <= named(looked_at(feed))


@settings(max_examples=40)
@given(HISTORIES, st.data())
def test_replayed_files_are_found(history: list[str], data: st.DataObject):
    """An older file, manifest, or both in the place of a newer one."""
    with folder_of(history) as feed:
        places = st.lists(st.integers(0, len(feed.files) - 1), min_size=2, max_size=2, unique=True)
        older, newer = (feed.files[place] for place in sorted(data.draw(places)))
        for suffix in data.draw(st.sampled_from([("",), (".json",), ("", ".json")])):
            shutil.copy(feed.folder / f"{older}{suffix}", feed.folder / f"{newer}{suffix}")
        assert newer in named(looked_at(feed))


@settings(max_examples=40)
@given(
    HISTORIES,
    st.data(),
    st.sampled_from(["changes_99_en-0a0b0c.csv", "full_2_en-000000.csv", "copy", ".csv.json", "a\nok: b"]),
)
def test_files_under_other_names_are_found(history: list[str], data: st.DataObject, new_name: str):
    with folder_of(history) as feed:
        name = data.draw(st.sampled_from(feed.files))
        place: Callable[[Path, Path], Any] = data.draw(st.sampled_from([shutil.copy, shutil.move]))
        suffixes = data.draw(st.sampled_from([("",), (".json",), ("", ".json")]))
        for suffix in suffixes:
            place(feed.folder / f"{name}{suffix}", feed.folder / f"{new_name}{suffix}")
        assert named(looked_at(feed)) & {new_name, new_name.removesuffix(".json")}


@settings(max_examples=40)
@given(HISTORIES, st.data(), st.booleans(), st.booleans())
def test_manifest_signed_with_another_key_is_found(
    history: list[str], data: st.DataObject, altered: bool, honest: bool
):
    """Also if it claims to be signed with ours."""
    with folder_of(history) as feed:
        name = data.draw(st.sampled_from(feed.files))
        path = feed.folder / f"{name}.json"
        content = json.loads(path.read_bytes())
        del content["signature"]
        if altered:
            content["rows"] += 1
        thief = SigningKey.new()
        if honest:
            content["key_id"] = key_id(thief.public)
        path.write_bytes(rfc8785.dumps({**content, "signature": thief.sign(rfc8785.dumps(content))}))
        assert name in named(looked_at(feed))


@settings(max_examples=40)
@given(HISTORIES, st.data())
def test_signed_manifest_out_of_its_chain_is_found(history: list[str], data: st.DataObject):
    """Another feed, or another service with the same key, cannot lend its manifests."""
    with folder_of(history) as feed, folder_of([]) as other:
        other.keys, other.manifests = feed.keys, []
        place = data.draw(st.integers(0, len(feed.files) - 1))
        lent = FeedFolder(other.folder, keys=feed.keys, next_export=500)
        for _ in range(place + 1):
            name = lent.run()
        for suffix in ("", ".json"):
            (feed.folder / f"{feed.files[place]}{suffix}").unlink()
            shutil.copy(other.folder / f"{name}{suffix}", feed.folder)
        found = named(looked_at(feed, last=digest(feed.manifests[-1].encode())))
        assert found & {name, *feed.files[place + 1 :]}


def with_manifest(feed: FeedFolder) -> list[Path]:
    """The manifests of the folder, and the files they belong to, those of failed runs included."""
    manifests = sorted(feed.folder.glob("*.json"))
    return [*manifests, *(path.with_suffix("") for path in manifests)]


def swap(one: Path, other: Path) -> None:
    content = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(content)
