"""contactexport.files.writer.RowIndex: finds rows by number, whatever they hold and however buffers split them."""

import csv
import doctest
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contactexport.files import writer
from contactexport.files.writer import RowIndex

cells = st.text(alphabet=st.sampled_from('ab";,\n\r ä'), max_size=6)
rows = st.lists(st.lists(cells, min_size=2, max_size=3), max_size=12)


def test_example_in_docstring_is_true():
    assert doctest.testmod(writer).failed == 0


def written(values):
    lines = []
    for row in values:
        text = io.StringIO()
        csv.writer(text, lineterminator="\r\n").writerow(row)
        lines.append((text.getvalue()[:-2] + "\n").encode())
    return lines


@given(rows, st.integers(1, 9))
def test_every_row_begins_where_index_says(values, buffer_bytes):
    lines = written(values)
    content = b"".join(lines)
    index = RowIndex()
    for offset in range(0, len(content), buffer_bytes):
        index.add(content[offset : offset + buffer_bytes], offset)

    stored = RowIndex(index.to_bytes())
    assert index.row_ends == len(lines)
    opened = io.BytesIO(content)
    for number in range(len(lines) + 1):
        assert stored.offset_of(opened, number) == len(b"".join(lines[:number]))
    assert stored.offset_of(opened, len(lines) + 100) == len(content)


def test_late_row_is_found_without_reading_file_from_start():
    line = b'1,"two\nlines"\n'
    content = line * 200_000
    index = RowIndex()
    for offset in range(0, len(content), 1 << 16):
        index.add(content[offset : offset + (1 << 16)], offset)
    file = io.BytesIO(b"\0" * (len(content) - 100_000) + content[-100_000:])  # the bytes before are not read
    assert index.offset_of(file, 199_999) == len(content) - len(line)


@pytest.mark.parametrize("row", [0, 1, 5])
def test_empty_index_reads_file_from_start(row):
    assert RowIndex().offset_of(io.BytesIO(b"a,b\n" * 5), row) == 4 * row
