"""contactexport.export_csv: the dialect, against csv itself, and the spreadsheet profile."""

import csv
import io
import itertools
import re
import unicodedata
from collections.abc import Iterator

import pytest
from hypothesis import example, given, settings
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
        ("\t=1", "\t'=1"),
        ("\r=1", "\r'=1"),
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
        ("\n=1", "\n'=1"),
        ("\uff1d1", "'\uff1d1"),
        ("\u00a0=1", "\u00a0'=1"),
        ("\u200b\ufeff =1", "\u200b\ufeff '=1"),
        ("x;=1", "x;'=1"),
        ('x; "=1"', 'x; "\'=1"'),
        ("x\t@SUM(1);+cmd", "x\t'@SUM(1);'+cmd"),
        ("foo -bar", "foo '-bar"),
        ("A + B - C", "A + B - C"),
        ("x =", "x '="),
        ('5"-6"', '5"-6"'),
        (" -5", " -5"),
        ("+43 1 - 234567", "+43 1 - 234567"),
        ("+43 1 -234567", "'+43 1 '-234567"),
        ("https://example.com/-x", "https://example.com/-x"),
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


@pytest.mark.parametrize("separator", list(",;\t|: \n\r\u2028"))
def test_a_cell_with_any_separator_is_quoted(separator: str):
    to = io.BytesIO()
    export_csv.write_spreadsheet(None, [(1, f"a{separator}b", "c")], ";", to)
    assert to.getvalue().decode() == f'\ufeff1;"a{separator}b";c\r\n'


@pytest.mark.parametrize("cell", ["+1" + "- 1" * 20_000 + "x", " " * 50_000 + "x=", ";" * 50_000 + "x=", "=;" * 20_000])
def test_a_long_hostile_cell_takes_no_longer_than_its_length(cell: str):
    assert len(export_csv.harmless(cell)) <= 2 * len(cell) + 1  # its time would grow with the square: a timeout


def test_all_that_is_invisible_and_all_forms_of_the_signs_are_known():
    invisible, sign = re.compile(f"[{export_csv.INVISIBLE}]"), export_csv.SIGN
    for character in map(chr, range(0x110000)):
        if unicodedata.category(character) in {"Cc", "Cf", "Zl", "Zp", "Zs"}:
            assert invisible.match(character), hex(ord(character))
        if unicodedata.normalize("NFKC", character) in {"=", "+", "-", "@"}:
            assert sign.match(character), hex(ord(character))


SPLITTERS = [set(some) for count in range(1, 7) for some in itertools.combinations(",;\t |:", count)]
HOSTILE = st.text(st.sampled_from('=+-@\uff1d,;\t |:\n\r"\u00a0\u200b\ufeffab1'), max_size=10)


def fields(text: str, separators: set[str], quotes: str) -> Iterator[str]:
    """As a program may split: quotes mean nothing, or only at the start of a field, or wherever they stand."""
    field, quoted, start = "", False, True
    for character in text:
        if character == '"' and (quotes == "anywhere" or (quotes == "at the start" and (quoted or start))):
            quoted, start = not quoted, False
        elif not quoted and (character in separators or character in "\r\n"):
            yield field
            field, start = "", True
        else:
            field, start = field + character, False
    yield field


def is_formula(field: str) -> bool:
    """Begins with a sign, whatever invisible a program drops; a sign alone, or a number that a quote ends, is none."""
    shown = re.sub(f'^["{export_csv.INVISIBLE}]+', "", field)
    if not export_csv.SIGN.match(shown) or not shown[1:].strip():
        return False
    return re.match(rf'(?:{export_csv.NUMBER.pattern}|{export_csv.PHONE_NUMBER.pattern}) *(?:"|$)', shown) is None


@settings(max_examples=400, deadline=None)
@given(
    cells=st.lists(HOSTILE, min_size=1, max_size=3),
    delimiter=st.sampled_from(",;"),
    separators=st.sampled_from(SPLITTERS),
    quotes=st.sampled_from(["nowhere", "at the start", "anywhere"]),
)
@example(cells=["x;=1+1;y"], delimiter=",", separators={";"}, quotes="at the start")
@example(cells=["x\t=1+1"], delimiter=",", separators={"\t"}, quotes="nowhere")
def test_no_program_finds_a_formula_whatever_it_splits_at(cells, delimiter, separators, quotes):
    to = io.BytesIO()
    export_csv.write_spreadsheet(None, [(7, *cells, "2012-02-09 00:00:00")], delimiter, to)
    text = to.getvalue().decode()[1:]
    assert [field for field in fields(text, separators, quotes) if is_formula(field)] == []
    if delimiter in separators and quotes == "at the start":
        assert len(next(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))) == len(cells) + 2
