import pytest

from contactexport.catalogue import Catalogue, ContactField
from contactexport.contact_import.header import FieldNames, read_header
from contactexport.errors import UsageError

CATALOGUE = Catalogue(
    (),
    {
        1: ContactField(1, "First Name", "shorttext", "first_name", True, {"en": "First Name", "de": "Vorname"}),
        3: ContactField(3, "E-Mail", "longtext", "email", True, {"en": "E-Mail", "es": "Correo electrónico"}),
        7: ContactField(7, "Title", "shorttext", "title", True, {"de": "Titel"}),
        8: ContactField(8, "Heading", "shorttext", "heading", True, {"hu": "Titel"}),
    },
)


def ids(*cells: str) -> list[int | None]:
    return [field and field.id for field in read_header(cells, FieldNames(CATALOGUE))]


@pytest.mark.parametrize("cell", ["3", "E-Mail", "e-mail", " EMAIL ", "correo ELECTRÓNICO"])
def test_header_names_a_field_by_id_column_or_name_in_any_language(cell: str):
    assert ids(cell) == [3]


def test_columns_that_only_exports_have_are_ignored():
    assert ids("user_id", "Vorname", "Last Update") == [None, 1, None]


@pytest.mark.parametrize(
    "cells, message",
    [
        (["Vornahme"], r'Unknown field: "Vornahme"; did you mean "First Name" \(1\)\?'),
        (["3;1"], "is a semicolon the delimiter"),
        (["email\tvorname and more"], "is a tab the delimiter"),
        (["user_id,email"], "is a comma the delimiter"),
        (["First, Name"], "did you mean"),
        (["xyzzy"], "write a field's id, or its name in any language"),
        (["99"], 'Unknown field: "99"'),
        (["email", "3"], '"email" and "3" in the header are the same field'),
        (["email", " "], "Column 2 of the header is empty"),
        (["Titel"], '"Titel" is the name of the fields 7 and 8: write the id instead'),
    ],
)
def test_unusable_header_is_refused_with_a_hint(cells: list[str], message: str):
    with pytest.raises(UsageError, match=message):
        ids(*cells)
