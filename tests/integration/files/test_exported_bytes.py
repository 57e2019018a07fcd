"""A file has the bytes that csv.writer writes for the same rows, for every value that Postgres can hold."""

import csv
import io
import sys

from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from contactexport.context import Context
from contactexport.files import csv_format
from tests.support.exporting import END, START, add_contact, change, contact_changed, execute, export_file, settings_for

TEXTS = st.none() | st.text(
    st.characters(exclude_categories=("Cs",), exclude_characters="\0") | st.sampled_from("\",;\r\n \t\\.'\ufeff"),
    max_size=12,
)
AT = "2012-02-09 00:00:00"


def store(context: Context, contacts: list[tuple[str | None, ...]]) -> None:
    with context.database.transaction() as conn, conn.cursor() as cursor:
        cursor.execute("DELETE FROM contact; DELETE FROM contact_change")
        cursor.executemany(
            "INSERT INTO contact (id, origin_kind, origin_id, first_name, email, company)"
            " VALUES (%s, 'form', 123, %s, %s, %s)",
            [(number, *texts) for number, texts in enumerate(contacts, 1)],
        )
        cursor.execute("UPDATE contact_change SET changed_at = %s", (START,))


def written_by_csv(rows: list[list[object]], delimiter: str) -> bytes:
    written = io.StringIO()
    csv.writer(written, delimiter=delimiter, lineterminator="\n").writerows(rows)
    return written.getvalue().encode()


@hypothesis_settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    contacts=st.lists(st.tuples(TEXTS, TEXTS, TEXTS), max_size=8),
    delimiter=st.sampled_from(",;"),
    header=st.booleans(),
    name=st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), min_size=1, max_size=9),
)
@example(contacts=[("\r", '"', ";"), ("", None, " "), ("\\.", "\\N", "NULL")], delimiter=";", header=True, name='"\r"')
def test_file_has_bytes_of_csv_writer(context: Context, contacts, delimiter, header, name):
    store(context, contacts)
    execute(context, "UPDATE contact_field SET names = jsonb_build_object('en', %s::text) WHERE id = 1", (name,))
    settings = settings_for(contact_fields=(18, 1, 3), delimiter=delimiter, header=header)
    names = [["user_id", "Company", name, "E-Mail", "last update"]] if header else []
    rows = [[number, texts[2], texts[0], texts[1], AT] for number, texts in enumerate(contacts, 1)]
    written = export_file(context, settings)
    assert written == b"".join(csv_format.line(row, delimiter) for row in names + rows)
    if sys.version_info >= (3, 13) or b"\r" not in written:
        assert written == written_by_csv(names + rows, delimiter)
    read = list(csv.reader(io.StringIO(written.decode(), newline=""), delimiter=delimiter))
    assert read == [["" if value is None else str(value) for value in row] for row in names + rows]


@hypothesis_settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    contacts=st.lists(st.tuples(TEXTS, TEXTS, TEXTS), max_size=4),
    delimiter=st.sampled_from(",;"),
    header=st.booleans(),
)
def test_spreadsheet_profile_differs_only_in_bom_line_ends_and_formulas(context: Context, contacts, delimiter, header):
    store(context, contacts)
    settings = settings_for(contact_fields=(18, 1, 3), delimiter=delimiter, header=header, spreadsheet=True)
    text = export_file(context, settings).decode()
    assert text.startswith("\ufeff")
    read = list(csv.reader(io.StringIO(text[1:], newline=""), delimiter=delimiter))
    names = [["user_id", "Company", "First Name", "E-Mail", "last update"]] if header else []
    rows = [[str(number), texts[2], texts[0], texts[1], AT] for number, texts in enumerate(contacts, 1)]
    assert read == names + [[csv_format.harmless(value or "") for value in row] for row in rows]
    assert text.count("\r\n") >= len(names + rows)


def test_label_is_quoted_like_text(context: Context):
    execute(context, """UPDATE contact_field_choice SET labels = '{"en": "a \\"b\\"; c,d\\re"}' WHERE field_id = 5""")
    execute(context, """UPDATE contact_field_choice SET labels = '{"en": ""}' WHERE field_id = 6""")
    number = contact_changed(context, gender=1, marital_status=2)
    expected = csv_format.line([number, 'a "b"; c,d\re', "2", AT], ",")
    assert export_file(context, settings_for(contact_fields=(5, 6))) == expected


def test_export_without_contacts_is_empty_or_a_header(context: Context):
    assert export_file(context, settings_for()) == b""
    assert export_file(context, settings_for(header=True)) == b"user_id,First Name,E-Mail,last update\n"


def test_file_of_many_buffers_is_complete(context: Context):
    execute(
        context,
        "INSERT INTO contact (origin_kind, origin_id, first_name, email)"
        " SELECT 'form', 123, repeat('x', 100), n || '@example.com' FROM generate_series(1, 30000) AS n",
    )
    execute(context, "UPDATE contact_change SET changed_at = %s", (START,))
    lines = export_file(context, settings_for()).splitlines()
    assert [int(line.split(b",")[0]) for line in lines] == list(range(1, 30001))
    assert all(line.endswith(f"{number}@example.com,{AT}".encode()) for number, line in enumerate(lines, 1))


def test_rows_are_ordered_by_contact_not_by_time(context: Context):
    contacts = [add_contact(context) for _ in range(5)]
    for hours, contact in enumerate(reversed(contacts)):
        change(context, contact, START.replace(hour=hours))
    lines = export_file(context, settings_for(end=END)).splitlines()
    assert [int(line.split(b",")[0]) for line in lines] == contacts
