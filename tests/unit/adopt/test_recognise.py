"""Stored values that stand for choices of system fields."""

import pytest

from contactexport.adopt.recognise import recognised

GENDER, COUNTRY, LANGUAGE, SALUTATION = 5, 14, 35, 46


@pytest.mark.parametrize(
    ("field", "values", "expected"),
    [
        (GENDER, ["m", "f"], {"m": 1, "f": 2}),
        (GENDER, ["M", ""], {"M": 1, "F": 2}),
        (GENDER, ["w"], {"w": 2, "m": 1}),
        (GENDER, ["Female", "Male"], {"Female": 2, "Male": 1}),
        (GENDER, ["männlich"], {"männlich": 1, "weiblich": 2}),
        (SALUTATION, ["Frau", "Herr"], {"Frau": 2, "Herr": 1}),
        (SALUTATION, ["Mr.", "Mrs."], {"Mr.": 1, "Mrs.": 2, "Ms": 2, "Miss": 2}),
    ],
)
def test_values_are_recognised_with_others_that_may_come(field, values, expected):
    assert recognised(field, values) == expected


@pytest.mark.parametrize(
    ("value", "choice"),
    [("AT", 10), ("at", 10), ("AUT", 10), ("Austria", 10), ("Österreich", 10), ("US", 185), ("USA", 185), ("GBR", 184)],
)
def test_countries_are_recognised_by_codes_and_names(value, choice):
    assert recognised(COUNTRY, [value])[value] == choice


def test_every_country_has_a_code():
    assert len(set(recognised(COUNTRY, ["AT"]).values())) == 48


def test_languages_are_recognised_by_codes_and_names():
    assert recognised(LANGUAGE, ["de", "en"])["fr"] == 3
    assert recognised(LANGUAGE, ["German"])["French"] == 3


@pytest.mark.parametrize("values", [[], [""], ["m", "x"], ["m", "Female"]])
def test_nothing_is_recognised_unless_all_values_are(values):
    assert recognised(GENDER, values) is None
