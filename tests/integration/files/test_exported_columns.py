"""The columns of a file: fields in the requested order, labels and names by language, dates, `last update`."""

import csv
import dataclasses
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from contactexport.catalogue import Catalogue, list_choices
from contactexport.context import Context
from contactexport.files.csv_format import columns
from tests.support.exporting import START, change, contact_changed, execute, export_file, settings_for


def rows(context: Context, **changes) -> list[list[str]]:
    return list(csv.reader(export_file(context, settings_for(**changes)).decode().splitlines()))


def values(context: Context, field: int, language: str = "en") -> list[str]:
    return [row[1] for row in rows(context, contact_fields=(field,), language=language)]


@pytest.mark.parametrize(
    ("language", "names", "gender", "salutations"),
    [
        ("en", ["First Name", "E-Mail", "Gender"], "Female", ["Mr.", "Ms."]),
        ("de", ["Vorname", "E-Mail", "Geschlecht"], "Weiblich", ["Herr", "Frau"]),
        ("fr", ["Prénom", "E-mail", "Sexe"], "Femme", ["M.", "Mme"]),
        ("hu", ["Keresztnév", "E-mail", "Nem"], "Nő", None),
        ("es", ["Nombre", "Correo electrónico", "Sexo"], "Mujer", ["Sr.", "Sra."]),
        ("it", ["First Name", "E-Mail", "Gender"], "Female", None),  # not a language of the catalogue
    ],
)
def test_names_and_labels_are_in_requested_language(context: Context, language, names, gender, salutations):
    contact_changed(context, gender=2, first_name="Anna")
    with context.database.transaction() as conn:
        interests = dict(list_choices(conn, 0, language))
    chosen = sorted(interests)[:2]
    execute(context, "UPDATE contact SET interests = %s", (list(reversed(chosen)),))
    header, row = rows(context, contact_fields=(1, 3, 5, 0), language=language, header=True)
    assert header[:4] + header[5:] == ["user_id", *names, "last update"]
    assert row[1:5] == ["Anna", "", gender, f"{interests[chosen[1]]}, {interests[chosen[0]]}"]


def test_every_choice_is_exported_with_its_label_in_every_language(context: Context):
    execute(context, 'INSERT INTO contact_field_choice (field_id, id, labels) VALUES (5, 77, \'{"de": "divers"}\')')
    with context.database.transaction() as conn:
        catalogue = Catalogue.read(conn)
        fields = [field for field in catalogue.fields.values() if field.application_type == "singlechoice"]
        choices = {field.id: {} for field in fields}
        for field in fields:
            for language in ("en", "de", "fr", "hu", "es"):
                for choice, label in list_choices(conn, field.id, language):
                    choices[field.id].setdefault(choice, {})[language] = label
    assert len(fields) >= 10
    assert choices[5][77] == {"de": "divers", "en": "77", "fr": "77", "hu": "77", "es": "77"}
    max_choices = max(len(of_field) for of_field in choices.values())
    for number in range(max_choices):
        columns = {field.column_name: (sorted(choices[field.id]) * max_choices)[number] for field in fields}
        contact_changed(context, **columns)
    for language in ("en", "de", "fr", "hu", "es"):
        for number, row in enumerate(rows(context, contact_fields=tuple(choices), language=language)):
            expected = [labels[(sorted(labels) * max_choices)[number]][language] for labels in choices.values()]
            assert row[1:-1] == expected, language


def test_label_falls_back_to_english_then_to_id(context: Context):
    for choice, labels in [(70, '{"en": "English", "de": ""}'), (71, '{"fr": "Français"}'), (72, "{}")]:
        execute(context, "INSERT INTO contact_field_choice (field_id, id, labels) VALUES (5, %s, %s)", (choice, labels))
        execute(context, "INSERT INTO contact_field_choice (field_id, id, labels) VALUES (0, %s, %s)", (choice, labels))
    for choice in (70, 71, 72, 73, None):
        contact_changed(context, gender=choice, interests=None if choice is None else [choice])
    contact_changed(context, interests=[])
    contact_changed(context, interests=[73, 70, None, 71])
    assert values(context, 5, "de")[:5] == ["English", "71", "72", "73", ""]
    assert values(context, 0, "de") == ["English", "71", "72", "73", "", "", "73, English, 71"]


def test_name_falls_back_to_english_then_to_plain_name(context: Context):
    execute(context, """UPDATE contact_field SET names = '{"en": "First", "de": ""}' WHERE id = 1""")
    execute(context, "UPDATE contact_field SET names = '{}' WHERE id = 2")
    assert rows(context, contact_fields=(1, 2), language="de", header=True) == [
        ["user_id", "First", "Last Name", "last update"]
    ]


@hypothesis_settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_columns_are_in_requested_order(context: Context, data: st.DataObject):
    with context.database.transaction() as conn:
        catalogue = Catalogue.read(conn)
    exportable = [field for field in catalogue.fields if catalogue.is_exportable(field)]
    requested = tuple(data.draw(st.lists(st.sampled_from(exportable), unique=True, min_size=1)))
    assert rows(context, contact_fields=requested, header=True) == [
        [name for _, name in columns([catalogue.fields[field] for field in requested], "en")]
    ]


def test_values_are_exported_unchanged(context: Context):
    contact_changed(
        context,
        date_of_birth=date(1984, 2, 29),
        response_rate="1.50",
        opt_in=1,
        anniversary=date(812, 3, 4),
        company="  x ",
    )
    assert rows(context, contact_fields=(4, 30, 31, 40, 18, 48))[0][1:-1] == [
        "1984-02-29", "1.50", "1", "0812-03-04", "  x ", "",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("zone", "expected"),
    [
        ("UTC", ["2012-03-25 00:59:59", "2012-03-25 01:00:00"]),
        ("Europe/Vienna", ["2012-03-25 01:59:59", "2012-03-25 03:00:00"]),  # summer time began here
        ("Asia/Kathmandu", ["2012-03-25 06:44:59", "2012-03-25 06:45:00"]),
    ],
)
def test_last_update_is_in_time_zone_of_service(context: Context, zone: str, expected: list[str]):
    moved = dataclasses.replace(context, settings=dataclasses.replace(context.settings, time_zone=ZoneInfo(zone)))
    contact_changed(context, datetime(2012, 3, 25, 0, 59, 59, 999999, tzinfo=UTC))
    contact_changed(context, datetime(2012, 3, 25, 1, tzinfo=UTC))
    assert [row[-1] for row in rows(moved)] == expected


def test_field_may_be_any_column_of_own_view(context: Context):
    execute(
        context,
        'ALTER TABLE contact RENAME TO "Kunden"; CREATE VIEW contact AS SELECT *, first_name AS "Vor ""name"" %%s"'
        ' FROM "Kunden"; UPDATE contact_field SET column_name = \'Vor "name" %%s\' WHERE id = 1',
        (),
    )
    execute(context, "INSERT INTO contact (id, origin_kind, origin_id, first_name) VALUES (5, 'form', 123, 'Anna')")
    change(context, 5, START)
    assert values(context, 1) == ["Anna"]
