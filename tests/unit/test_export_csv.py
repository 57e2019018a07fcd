"""contactexport.export_csv: the dialect, against csv itself, and the spreadsheet profile."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contactexport import export_csv
from contactexport.models import ContactField

VALUES = st.none() | st.integers() | st.text(st.characters(exclude_categories=("Cs",)), max_size=10)


def field(number: int, **names: str) -> ContactField:
    return ContactField(number, f"field {number}", "shorttext", f"column_{number}", True, names)


@given(values=st.lists(VALUES, min_size=2), delimiter=st.sampled_from(",;"))
def test_a_line_is_read_back_as_it_was(values: list[object], delimiter: str):
    line = export_csv.line(values, delimiter).decode()
    assert line.endswith("\n")
    assert list(csv.reader(io.StringIO(line, newline=""), delimiter=delimiter)) == [
        ["" if value is None else str(value) for value in values]
    ]


@given(
    values=st.lists(VALUES.filter(lambda value: "\r" not in str(value)), min_size=2), delimiter=st.sampled_from(",;")
)
def test_a_line_is_what_csv_writes(values: list[object], delimiter: str):
    written = io.StringIO()
    csv.writer(written, delimiter=delimiter, lineterminator="\n").writerow(values)
    assert export_csv.line(values, delimiter) == written.getvalue().encode()


def test_a_lone_carriage_return_is_quoted():
    assert export_csv.line(["a\rb", "c", None, ""], ";") == b'"a\rb";c;;\n'


def test_the_header_has_the_names_between_the_two_fixed_columns():
    fields = [field(2, en="Last; Name", de="Nachname"), field(1, de='Vor"name"'), field(3)]
    assert export_csv.header(fields, "de", ";") == b'user_id;Nachname;"Vor""name""";field 3;last update\n'
    assert export_csv.header(fields, "en", ";") == b'user_id;"Last; Name";field 1;field 3;last update\n'


@pytest.mark.parametrize(
    ("cell", "shown"),
    [
        ("=1+1", "'=1+1"),
        ("+SUM(A1)", "'+SUM(A1)"),
        ("-cmd|' /C calc'!A0", "'-cmd|' /C calc'!A0"),
        ("@SUM(1)", "'@SUM(1)"),
        ("\t=1", "'\t=1"),
        ("\r=1", "'\r=1"),
        ("+1+1", "'+1+1"),
        ("+43 1 +cmd", "'+43 1 +cmd"),
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
def test_cells_that_look_like_formulas_are_made_harmless(cell: str, shown: str):
    assert export_csv.harmless(cell) == shown


def test_the_spreadsheet_profile_has_a_mark_and_crlf_and_leaves_the_stream_open():
    to = io.BytesIO()
    rows = ((number, "=x", None, "ä;") for number in (1, 2))
    assert export_csv.write_spreadsheet(["user_id", "=n"], rows, ";", to) == 2
    assert to.getvalue().decode() == '\ufeffuser_id;\'=n\r\n1;\'=x;;"ä;"\r\n2;\'=x;;"ä;"\r\n'
    to = io.BytesIO()
    assert export_csv.write_spreadsheet(None, [], ",", to) == 0
    assert to.getvalue() == "\ufeff".encode()
