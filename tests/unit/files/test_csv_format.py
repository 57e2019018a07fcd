"""contactexport.files.csv_format: the dialect, compared with csv itself, and the spreadsheet profile."""

import csv
import doctest
import io
import re
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contactexport.catalogue import ContactField
from contactexport.files import csv_format

VALUES = st.none() | st.integers() | st.text(st.characters(exclude_categories=("Cs",)), max_size=10)


def test_examples_in_docstrings_are_true():
    assert doctest.testmod(csv_format).failed == 0


def field(number: int, **names: str) -> ContactField:
    return ContactField(number, f"field {number}", "shorttext", f"column_{number}", True, names)


@given(values=st.lists(VALUES, min_size=2), delimiter=st.sampled_from(",;"))
def test_line_is_parsed_back_to_its_values(values: list[object], delimiter: str):
    line = csv_format.line(values, delimiter).decode()
    assert line.endswith("\n")
    assert list(csv.reader(io.StringIO(line, newline=""), delimiter=delimiter)) == [
        ["" if value is None else str(value) for value in values]
    ]


@given(
    values=st.lists(VALUES.filter(lambda value: "\r" not in str(value)), min_size=2), delimiter=st.sampled_from(",;")
)
def test_line_equals_output_of_csv_writer(values: list[object], delimiter: str):
    written = io.StringIO()
    csv.writer(written, delimiter=delimiter, lineterminator="\n").writerow(values)
    assert csv_format.line(values, delimiter) == written.getvalue().encode()


def test_lone_carriage_return_is_quoted():
    assert csv_format.line(["a\rb", "c", None, ""], ";") == b'"a\rb";c;;\n'


def test_header_has_names_between_two_fixed_columns():
    fields = [field(2, en="Last; Name", de="Nachname"), field(1, de='Vor"name"'), field(3)]
    german, english = ([name for _, name in csv_format.columns(fields, language)] for language in ("de", "en"))
    assert csv_format.line(german, ";") == b'user_id;Nachname;"Vor""name""";field 3;last update\n'
    assert csv_format.line(english, ";") == b'user_id;"Last; Name";field 1;field 3;last update\n'


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("=1+1", "'=1+1"),
        ("+SUM(A1)", "'+SUM(A1)"),
        ("-cmd|' /C calc'!A0", "'-cmd|' /C calc'!A0"),
        ("@SUM(1)", "'@SUM(1)"),
        ("\t=1", "'\t'=1"),
        ("\r=1", "'\r'=1"),
        ("\n=1", "'\n'=1"),
        ("\tAnna", "'\tAnna"),
        ("  =1", "'  '=1"),
        ("\u00a0@x", "'\u00a0'@x"),
        ("\ufeff\u200b-x", "'\ufeff\u200b'-x"),
        ("\uff1d1", "'\uff1d1"),
        ("\uff0bx", "'\uff0bx"),
        ("\uff0dx", "'\uff0dx"),
        ("\uff20x", "'\uff20x"),
        ("x;=1+1", "x;'=1+1"),
        ("x\t=1+1", "x\t'=1+1"),
        ("x|\u00a0- y", "x|\u00a0'- y"),
        ('x;"=1;', "x;\"'=1;"),
        ("x =1", "x '=1"),
        ("x - y", "x - y"),
        ("x,-5 +3", "x,'-5 '+3"),
        ("x,-5", "x,'-5"),
        ("x -5 y", "x -5 y"),
        (" -5", " -5"),
        ("x =", "x '="),
        ("+1+1", "'+1+1"),
        ("+43 1 +cmd", "'+43 1 '+cmd"),
        ("-1", "-1"),
        ("+1.5", "+1.5"),
        ("-1,234.5", "-1,234.5"),
        ("+43 (1) 234-56/7", "+43 (1) 234-56/7"),
        ("+1-2", "'+1-2"),
        ("Anna", "Anna"),
        ("", ""),
        ("a=1", "a=1"),
        ("+४३", "'+४३"),
    ],
)
def test_cell_that_looks_like_formula_is_made_harmless(cell: str, expected: str):
    assert csv_format.harmless(cell) == expected


HOSTILE = st.text(st.sampled_from("=+-@\uff1d\uff0d x1(!'\"|,;\t:\r\n\u00a0\u200b\ufeff\x00.é"), max_size=12)
SKIPPED_BY_A_PROGRAM = " \t\r\n\x00\u00a0\u200b\ufeff"
NUMBER_OR_PHONE = re.compile(r"[+-]?\d+([.,]\d+)*|\+\d[\d ()/.-]*", re.ASCII)
LONE_SIGN = re.compile(r"[=+@-]|[\uff1d\uff0d]")


def cells_as_a_program_reads(line: str, separators: str, *, minds_quotes: bool) -> Iterator[str]:
    """Like a lenient reader: a quote counts only at the start of a cell, and text after the end quote is part of it."""
    cell, at = "", 0
    while at < len(line):
        if minds_quotes and not cell and line[at] == '"':
            end = at + 1
            while (end < len(line) and line[end] != '"') or line[end : end + 2] == '""':
                end += 2 if line[end : end + 2] == '""' else 1
            cell, at = line[at + 1 : end].replace('""', '"'), end + 1
            # The rest of the cell, up to the next separator, is read as it is.
            while at < len(line) and line[at] not in separators:
                cell, at = cell + line[at], at + 1
        elif line[at] in separators:
            yield cell
            cell, at = "", at + 1
        else:
            cell, at = cell + line[at], at + 1
    yield cell


@settings(max_examples=2000)
@given(
    values=st.lists(HOSTILE, min_size=1, max_size=3),
    delimiter=st.sampled_from(",;"),
    separators=st.sampled_from([",", ";", "\t", "|", " ", ":", ",;\t", ",;\t |:"]),
    minds_quotes=st.booleans(),
    breaks_lines=st.booleans(),
)
def test_no_part_of_cell_becomes_formula_however_line_is_split(
    values: list[str], delimiter: str, separators: str, minds_quotes: bool, breaks_lines: bool
):
    to = io.BytesIO()
    csv_format.write_spreadsheet(None, [[1, *values, "2026-01-01 00:00:00"]], delimiter, to)
    line = to.getvalue().decode().removeprefix("\ufeff")
    separators += "\r\n" if breaks_lines else ""
    for cell in cells_as_a_program_reads(line, separators, minds_quotes=minds_quotes):
        # After a blank, a sign alone is a dash.
        text = cell.strip(SKIPPED_BY_A_PROGRAM).strip('"')
        if NUMBER_OR_PHONE.fullmatch(text) or LONE_SIGN.fullmatch(text):
            continue
        assert not text.startswith(tuple("=+-@\uff1d\uff0d")), (line, cell)


@given(values=st.lists(HOSTILE, min_size=1), delimiter=st.sampled_from(",;"))
def test_cell_with_any_spreadsheet_separator_is_quoted(values: list[str], delimiter: str):
    to = io.BytesIO()
    csv_format.write_spreadsheet(None, [[1, *values]], delimiter, to)
    text = to.getvalue().decode().removeprefix("\ufeff")
    assert list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)) == [
        ["1", *map(csv_format.harmless, values)]
    ]
    unquoted = "".join(text.split('"')[::2]).removesuffix("\r\n")
    assert not set(unquoted) & (set(",;\t|\r\n") - {delimiter})


def test_spreadsheet_profile_writes_bom_and_crlf_and_leaves_stream_open():
    to = io.BytesIO()
    rows = ((number, "=x", None, "ä;") for number in (1, 2))
    assert csv_format.write_spreadsheet(["user_id", "=n"], rows, ";", to) == 2
    assert to.getvalue().decode() == '\ufeffuser_id;\'=n\r\n1;\'=x;;"ä;"\r\n2;\'=x;;"ä;"\r\n'
    to = io.BytesIO()
    assert csv_format.write_spreadsheet(None, [], ",", to) == 0
    assert to.getvalue() == "\ufeff".encode()
