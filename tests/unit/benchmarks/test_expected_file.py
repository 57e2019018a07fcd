"""In what the file of a tool may differ, and in what not."""

import hashlib
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"
LINES = [b"user_id,First Name\n", b'1,"Jo ""the"" Pen"\n', b"2,\n", b'3,"a,b"\n']


@pytest.fixture
def expected_file(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import expected_file

    return expected_file


@pytest.fixture
def expected(expected_file):
    content = b"".join(LINES), b"".join(sorted(LINES))
    return expected_file.ExpectedFile(3, *(hashlib.sha256(one).hexdigest() for one in content))


@pytest.fixture
def written(tmp_path):
    def write(*lines: bytes) -> Path:
        file = tmp_path / "changes.csv"
        file.write_bytes(b"".join(lines))
        return file

    return write


def test_the_same_bytes_are_no_difference(expected_file, expected, written):
    assert expected_file.difference(written(*LINES), expected) == ""


def test_another_order_of_rows_is_reported(expected_file, expected, written):
    header, *rows = LINES
    assert expected_file.difference(written(header, *reversed(rows)), expected) == "other order"


def test_unnecessary_quotes_are_reported(expected_file, expected, written):
    quoted = [b'"user_id","First Name"\n', b'"1","Jo ""the"" Pen"\n', b'2,""\n', b'"3","a,b"\r\n']
    assert expected_file.difference(written(*quoted), expected) == "other quoting"
    assert expected_file.difference(written(quoted[0], *reversed(quoted[1:])), expected) == "other quoting, other order"


@pytest.mark.parametrize("lines", [LINES[:-1], [*LINES, LINES[-1]], [*LINES[:-1], b'3,"a,c"\n']])
def test_missing_and_other_rows_end_the_benchmark(expected_file, expected, written, lines):
    with pytest.raises(expected_file.WrongFile, match="rows"):
        expected_file.difference(written(*lines), expected)
