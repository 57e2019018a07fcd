"""contactexport.files.writer: a file is joined from segments while they are still written."""

import hashlib
import itertools
import os
from pathlib import Path

import pytest

from contactexport.files import writer
from contactexport.files.writer import PartFile, RowIndex

ROWS = [b'%d,"a\nb",%s\n' % (number, b"x" * 100) for number in range(40_000)]  # several buffers in each segment


def written_in_segments(path: Path, reported: list[int]) -> PartFile:
    with PartFile(path, 1, reported.append) as file:
        with file.new_segment() as second, file.new_segment() as third:
            for row in ROWS[30_000:]:
                third.write(row)
            for number, row in enumerate(ROWS[10_000:30_000]):
                second.write(row)
                if number == 5_000:
                    for early in ROWS[:10_000]:
                        file.write(early)
                if number > 5_000 and number % 1_000 == 0:
                    file.copy_from(second)
            file.append(second)
            file.copy_from(third)
            file.append(third)
        file.flush()
    return file


def test_segments_are_copied_in_order_while_they_grow(tmp_path: Path):
    reported: list[int] = []
    file = written_in_segments(tmp_path / "file.part", reported)
    content = b"".join(ROWS)
    assert (tmp_path / "file.part").read_bytes() == content
    assert file.flushed.bytes == len(content)
    assert file.flushed.digest.hexdigest() == hashlib.sha256(content).hexdigest()
    assert reported == sorted(reported)
    assert reported[-1] <= len(ROWS)
    assert [*tmp_path.iterdir()] == [tmp_path / "file.part"]


def test_rows_are_found_in_every_segment(tmp_path: Path):
    file = written_in_segments(tmp_path / "file.part", [])
    index = RowIndex(file.flushed.row_index.to_bytes())
    offsets = [*itertools.accumulate(map(len, ROWS), initial=0)]
    with (tmp_path / "file.part").open("rb") as content:
        for row in (0, 1, 9_999, 10_000, 10_001, 29_999, 30_000, 39_999, 40_000):
            assert index.offset_of(content, row) == offsets[row]


def test_long_file_is_synced_before_it_is_complete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    sizes: list[int] = []
    monkeypatch.setattr(os, "fdatasync", lambda descriptor: sizes.append(os.fstat(descriptor).st_size))
    monkeypatch.setattr(writer, "SYNC_BYTES", 2_000_000)
    with PartFile(tmp_path / "file.part", 1) as file:
        for _ in range(50):
            file.write(b"x" * 99_999 + b"\n")
            file.flush_early()
    assert len(sizes) == 2
    assert 2_000_000 <= sizes[0] < 4_000_000 <= sizes[1]
