"""A file that is joined of pieces while they are still being written."""

import hashlib
import itertools
import os
from pathlib import Path

import pytest

from contactexport import part_file
from contactexport.part_file import PartFile
from contactexport.row_marks import RowMarks

ROWS = [b'%d,"a\nb",%s\n' % (number, b"x" * 100) for number in range(40_000)]  # several buffers in each piece


def written_in_pieces(path: Path, told: list[int]) -> PartFile:
    with PartFile(path, told.append) as file:
        with file.new_piece() as second, file.new_piece() as third:
            for row in ROWS[30_000:]:
                third.write(row)
            for number, row in enumerate(ROWS[10_000:30_000]):
                second.write(row)
                if number == 5_000:
                    for early in ROWS[:10_000]:
                        file.write(early)
                if number > 5_000 and number % 1_000 == 0:
                    file.take_over(second)
            file.append(second)
            file.take_over(third)
            file.append(third)
        file.sync()
    return file


def test_pieces_are_taken_over_in_order_while_they_grow(tmp_path: Path):
    told: list[int] = []
    file = written_in_pieces(tmp_path / "file.part", told)
    content = b"".join(ROWS)
    assert (tmp_path / "file.part").read_bytes() == content
    assert file.written.bytes == len(content)
    assert file.written.digest.hexdigest() == hashlib.sha256(content).hexdigest()
    assert told == sorted(told)
    assert told[-1] <= len(ROWS)
    assert [*tmp_path.iterdir()] == [tmp_path / "file.part"]


def test_rows_are_found_in_every_piece(tmp_path: Path):
    file = written_in_pieces(tmp_path / "file.part", [])
    marks = RowMarks(file.written.marks.to_bytes())
    begins = [*itertools.accumulate(map(len, ROWS), initial=0)]
    with (tmp_path / "file.part").open("rb") as content:
        for row in (0, 1, 9_999, 10_000, 10_001, 29_999, 30_000, 39_999, 40_000):
            assert marks.offset_of(content, row) == begins[row]


def test_the_disk_takes_a_long_file_before_it_is_complete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    sizes: list[int] = []
    monkeypatch.setattr(os, "fdatasync", lambda descriptor: sizes.append(os.fstat(descriptor).st_size))
    monkeypatch.setattr(part_file, "FLUSHED_BYTES", 2_000_000)
    with PartFile(tmp_path / "file.part", lambda _: None) as file:
        for _ in range(50):
            file.write(b"x" * 99_999 + b"\n")
            file.flush_early()
    assert len(sizes) == 2
    assert 2_000_000 <= sizes[0] < 4_000_000 <= sizes[1]
