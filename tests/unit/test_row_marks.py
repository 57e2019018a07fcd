"""Rows are found by their number, whatever stands inside them and however the file was cut into buffers."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contactexport.row_marks import RowMarks

cells = st.text(alphabet=st.sampled_from('ab";,\n\r ä'), max_size=6)
rows = st.lists(st.lists(cells, min_size=2, max_size=3), max_size=12)


def written(values):
    lines = []
    for row in values:
        text = io.StringIO()
        csv.writer(text, lineterminator="\r\n").writerow(row)
        lines.append((text.getvalue()[:-2] + "\n").encode())
    return lines


@given(rows, st.integers(1, 9))
def test_every_row_begins_where_the_marks_say(values, buffer_bytes):
    lines = written(values)
    content = b"".join(lines)
    marks = RowMarks()
    for offset in range(0, len(content), buffer_bytes):
        marks.add(content[offset : offset + buffer_bytes], offset)

    stored = RowMarks(marks.to_bytes())
    assert marks.row_ends == len(lines)
    opened = io.BytesIO(content)
    for number in range(len(lines) + 1):
        assert stored.offset_of(opened, number) == len(b"".join(lines[:number]))
    assert stored.offset_of(opened, len(lines) + 100) == len(content)


def test_a_far_row_is_found_without_reading_the_file_from_its_beginning():
    line = b'1,"two\nlines"\n'
    content = line * 200_000
    marks = RowMarks()
    for offset in range(0, len(content), 1 << 16):
        marks.add(content[offset : offset + (1 << 16)], offset)
    file = io.BytesIO(b"\0" * (len(content) - 100_000) + content[-100_000:])  # what lies before is not looked at
    assert marks.offset_of(file, 199_999) == len(content) - len(line)


@pytest.mark.parametrize("row", [0, 1, 5])
def test_without_marks_the_file_is_read_from_its_beginning(row):
    assert RowMarks().offset_of(io.BytesIO(b"a,b\n" * 5), row) == 4 * row
