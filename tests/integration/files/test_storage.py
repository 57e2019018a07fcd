"""The storage: a folder, S3 and Azure keep the same promises."""

import base64
import hashlib
import io
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import requests

from contactexport import setting_values
from contactexport.errors import ExportLost, FileDamaged, StorageUnfit
from contactexport.files.folder import FolderStorage
from contactexport.files.storage import MARKER, Storage
from contactexport.files.writer import RowsFile

NAME = "changes_1_en-abcdef.csv"
LINE = b"1,Anna,anna@example.com\n"
LARGE = LINE * 900_000  # three parts


@pytest.fixture(params=["folder", "seaweedfs", "azurite"])
def storage(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Storage:
    if request.param == "folder":
        (tmp_path / "exports").mkdir()
        return FolderStorage(tmp_path / "exports")
    store = request.getfixturevalue(request.param)
    for name, value in store.environment.items():
        monkeypatch.setenv(name, value)
    return object_storage(store.new_url())


def object_storage(url: str) -> Storage:
    from contactexport.files.object_store import ObjectStorage

    return ObjectStorage(setting_values.storage(url))


def content(of: bytes, rows: int = 0) -> Callable[[RowsFile], int]:
    def write_content(to: RowsFile) -> int:
        for start in range(0, len(of), 5_000_011):
            to.write(of[start : start + 5_000_011])
        return rows

    return write_content


def allowed() -> None:
    """Raises nothing: this attempt still has its export."""


def names(storage: Storage) -> list[str]:
    return sorted(file.name for file in storage.list())


@pytest.mark.parametrize("written", [b"", LINE, LARGE], ids=["empty", "small", "large"])
def test_file_is_there_with_its_numbers(storage: Storage, written: bytes):
    reported: list[int] = []
    file = storage.write(NAME, 3, write_content=content(written, 7), before_publish=allowed, on_rows=reported.append)
    assert (file.rows, file.bytes, file.sha256) == (7, len(written), hashlib.sha256(written).hexdigest())
    assert reported == [] if not written else reported[-1] == written.count(b"\n")
    stored_as = file.stored_as or NAME
    assert [(one.name, one.bytes, one.unfinished) for one in storage.list()] == [(stored_as, len(written), False)]
    with storage.open_finished(stored_as, file.bytes) as opened:
        assert opened.read() == written
        assert opened.seek(0, io.SEEK_END) == len(written)
        row = file.marks.row_ends * 2 // 3
        assert file.marks.offset_of(opened, row) == len(LINE) * row
        opened.seek(len(LINE) * row)
        assert opened.read(len(LINE)) == written[: len(LINE)]


def test_file_appears_after_permission_only(storage: Storage):
    seen: list[list[str]] = []
    storage.write(NAME, 2, write_content=content(LARGE), before_publish=lambda: seen.append(finished(storage)))
    assert seen == [[]]
    assert len(finished(storage)) == 1


def finished(storage: Storage) -> list[str]:
    return [file.name for file in storage.list() if not file.unfinished and not file.name.endswith(".part")]


@pytest.mark.parametrize("size", [1, 900_000])
@pytest.mark.parametrize("where", ["content", "permission"])
def test_exception_leaves_nothing(storage: Storage, where: str, size: int):
    def fail(*arguments: Any) -> int:
        if arguments:
            arguments[0].write(LINE * size)
        raise ExportLost("another attempt has it")

    steps = {"write_content": content(LINE * size), "before_publish": allowed}
    steps["write_content" if where == "content" else "before_publish"] = fail
    with pytest.raises(ExportLost):
        storage.write(NAME, 1, **steps)
    assert names(storage) == []


def test_stale_attempt_replaces_nothing(storage: Storage):
    """The first attempt stalls. The second one writes the file meanwhile, and is the one that the row names."""
    newer: list[str] = []

    def stalled(to: RowsFile) -> int:
        to.write(b"stale")
        later = storage.write(NAME, 2, write_content=content(b"newer"), before_publish=allowed)
        newer.append(later.stored_as or NAME)
        return 0

    def lost() -> None:
        raise ExportLost("the second attempt has it")

    with pytest.raises(ExportLost):
        storage.write(NAME, 1, write_content=stalled, before_publish=lost)
    assert names(storage) == newer
    with storage.open_finished(newer[0], 5) as opened:
        assert opened.read() == b"newer"


def test_attempt_that_stalls_after_its_last_question_replaces_nothing(storage: Storage):
    newer: list[str] = []

    def stalled() -> None:
        later = storage.write(NAME, 2, write_content=content(b"newer"), before_publish=allowed)
        newer.append(later.stored_as or NAME)

    with suppress(ExportLost):
        storage.write(NAME, 1, write_content=content(b"stale"), before_publish=stalled)
    with storage.open_finished(newer[0], 5) as opened:
        assert opened.read() == b"newer"


def test_missing_or_damaged_file_is_not_opened(storage: Storage):
    with pytest.raises(FileDamaged, match="is missing from the"):
        storage.open_finished(NAME, 5)
    storage.put_beside(NAME, 1, b"12345", allowed)
    with pytest.raises(FileDamaged, match="6 bytes expected, 5 bytes found"):
        storage.open_finished(NAME, 6)


def test_small_file_is_replaced_and_deleted(storage: Storage):
    storage.put_beside(NAME, 1, b"first", allowed)
    storage.put_beside(NAME, 2, b"other", allowed)
    with storage.open_finished(NAME, 5) as opened:
        assert opened.read() == b"other"
    assert storage.delete(NAME)
    assert names(storage) == []
    assert storage.delete(NAME), "gone is gone"


def test_marker_is_written_and_read(storage: Storage):
    assert storage.read_marker() is None
    storage.write_marker("installation-1")
    storage.write_marker("installation-2")
    assert storage.read_marker() == "installation-2"
    assert names(storage) == [MARKER]


def test_signed_url_reads_the_file_alone(storage: Storage):
    file = storage.write(NAME, 3, write_content=content(LINE), before_publish=allowed)
    url = storage.signed_url(file.stored_as or NAME, 60)
    if isinstance(storage, FolderStorage):
        assert url is None
        return
    answer = requests.get(str(url), timeout=30)
    assert (answer.status_code, answer.content) == (200, LINE)
    assert answer.headers["Content-Disposition"] == f'attachment; filename="{NAME}"'
    assert requests.get(str(url).partition("?")[0], timeout=30).status_code in {401, 403, 404}
    assert requests.delete(str(url), timeout=30).status_code in {401, 403}
    assert finished(storage) == [file.stored_as]


@pytest.mark.parametrize(
    ("kind", "secret"), [("seaweedfs", "AWS_SECRET_ACCESS_KEY"), ("azurite", "AZURE_STORAGE_ACCOUNT_KEY")]
)
def test_missing_bucket_and_wrong_key_are_told_without_secrets(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, kind: str, secret: str
):
    store = request.getfixturevalue(kind)
    for name, value in store.environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(StorageUnfit, match=r"The bucket of the object store \w\w://nobodys does not exist") as missing:
        object_storage(f"{store.scheme}://nobodys").read_marker()
    assert missing.value.state == "missing"
    url = store.new_url()
    monkeypatch.setenv(secret, base64.b64encode(b"another key").decode())
    with pytest.raises(StorageUnfit, match="cannot be read: the object store denies access") as denied:
        object_storage(url).read_marker()
    assert (denied.value.state, store.environment[secret] in denied.value.text) == ("denied", False)
    with pytest.raises(PermissionError):
        object_storage(url).write(NAME, 1, write_content=content(LARGE), before_publish=allowed)
