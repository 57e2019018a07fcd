import io

import pytest

from contactexport.contact_import.csv_records import MAX_RECORD_BYTES, CsvRecords
from contactexport.errors import UsageError


def read(content: bytes, delimiter: str = ",", encoding: str = "utf-8"):
    return list(CsvRecords(io.BytesIO(content), delimiter, encoding))


def test_record_has_the_line_where_it_starts():
    records = read(b'a,b\n"x\ny\nz",1\n\nlast,2\n')
    assert [(one.line, one.cells) for one in records] == [
        (1, ["a", "b"]),
        (2, ["x\ny\nz", "1"]),
        (6, ["last", "2"]),
    ]


def test_record_has_its_original_bytes():
    content = b'\xef\xbb\xbfa,b\r\n"x\r\ny", 1 \r\n\xfc,2'
    assert b"".join(one.raw for one in read(content)) == content


def test_byte_order_mark_is_not_in_the_first_cell():
    assert read(b"\xef\xbb\xbfa,b\n")[0].cells == ["a", "b"]


def test_wrong_encoding_spoils_only_its_record():
    first, second, third = read(b'a\n"\n\xfc"\nc\n')
    assert second.line == 2
    assert second.problem == ("byte 0xFC at position 1 of line 3 is not utf-8; --encoding says how the file is written")
    assert (first.problem, third.problem, third.line) == (None, None, 4)


def test_other_encoding_is_read_on_request():
    assert read("Zoë;x".encode("cp1252"), ";", "cp1252")[0].cells == ["Zoë", "x"]


@pytest.mark.parametrize(
    "content, problem",
    [
        (b'"a"b\n', "text follows a closing quote"),
        (b'"a\nb\n', 'a quote (") is opened and never closed'),
        (b"a\rb\n", "a carriage return stands outside of quotes"),
        (b'"' + b"x" * 140_000 + b'"\n', "a value is longer than 131,072 characters"),
    ],
)
def test_broken_record_comes_with_its_problem(content: bytes, problem: str):
    assert read(content)[0].problem.startswith(problem)


def test_reading_goes_on_after_a_broken_record():
    assert [one.cells for one in read(b'"a"b\nc\n')] == [[], ["c"]]


@pytest.mark.parametrize("content", [b"x" * MAX_RECORD_BYTES, (b'"' + b"y" * 100_000 + b'\n",') * 200])
def test_endless_record_raises_instead_of_filling_the_memory(content: bytes):
    with pytest.raises(UsageError, match=r"a record is longer than 16 MiB; is this a CSV file\?"):
        read(content)


@pytest.mark.parametrize(
    "encoding, message", [("klingon", "Unknown encoding"), ("hex", "Unknown"), ("utf-16", "iconv -t UTF-8")]
)
def test_unusable_encoding_is_refused(encoding: str, message: str):
    with pytest.raises(UsageError, match=message):
        read(b"", encoding=encoding)
