"""The system fields of the original, and what other programs call them."""

import pytest

from contactexport.system_fields import find, readable, system_fields


def test_all_system_fields_have_names_in_five_languages():
    assert sorted(system_fields()) == list(range(49))
    assert {tuple(sorted(one.names)) for one in system_fields().values()} == {("de", "en", "es", "fr", "hu")}


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("3", 3),
        ("E-Mail", 3),
        ("mail", 3),
        ("email_address", 3),
        ("givenName", 1),
        ("Nachname", 2),
        ("sex", 5),
        ("birthday", 4),
        ("birth_date", 4),
        ("plz", 13),
        ("zip_code", 13),
        ("Land", 14),
        ("company", 18),
        ("lang", 35),
    ],
)
def test_fields_are_found_by_id_and_by_name(name, field):
    assert find(name).id == field


@pytest.mark.parametrize("name", ["", "49", "106533", "loyalty_number", "²"])
def test_other_names_are_no_system_fields(name):
    assert find(name) is None


@pytest.mark.parametrize(
    ("name", "expected"), [("shoe_size", "Shoe size"), ("shoeSize", "Shoe size"), ("VIP", "Vip"), ("___", "___")]
)
def test_column_names_become_readable(name, expected):
    assert readable(name) == expected
