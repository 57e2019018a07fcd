import pytest

from contactexport.services.contact_choices import ChoiceList

CHILDREN = ChoiceList([(1, {"en": "None", "de": "Keine"}), (2, {"en": "1"}), (3, {"en": "2", "de": "Zwei"})])
INTERESTS = ChoiceList(
    [
        (1, {"en": "Music", "fr": "Son"}),
        (2, {"en": "Sport"}),
        (10, {"en": "Health, Fitness"}),
        (11, {"hu": "son"}),
    ]
)


@pytest.mark.parametrize("cell, choice", [("none", "1"), (" KEINE ", "1"), ("3", "3"), ("  ", None), ("", None)])
def test_a_choice_is_named_by_a_label_in_any_language_or_by_its_id(cell: str, choice: str | None):
    assert CHILDREN.one(cell) == choice


def test_a_label_goes_before_an_id_so_that_an_export_can_be_imported_again():
    assert CHILDREN.one("1") == "2"


def test_an_unknown_choice_is_refused_with_its_value():
    with pytest.raises(ValueError, match="'Many' is neither a label nor an id of its choices"):
        CHILDREN.one("Many")


def test_a_label_of_two_choices_is_ambiguous():
    with pytest.raises(ValueError, match="'Son' is ambiguous: the label of the choices 1 and 11"):
        INTERESTS.one("Son")


@pytest.mark.parametrize(
    "cell, choices",
    [
        ("Sport, Music", "{2,1}"),
        ("Health, Fitness", "{10}"),
        ("Music, health, fitness, Sport", "{1,10,2}"),
        ("2,10", "{2,10}"),
        ("Sport, sport", "{2}"),
        (" ", None),
    ],
)
def test_several_choices_are_joined_with_commas_that_a_label_may_have_too(cell: str, choices: str | None):
    assert INTERESTS.several(cell) == choices


@pytest.mark.parametrize(
    "cell, reason",
    [("Music, Chess", "' Chess' is neither"), ("Music,,Sport", "two commas"), ("Music,", "commas")],
)
def test_one_bad_choice_of_several_is_named(cell: str, reason: str):
    with pytest.raises(ValueError, match=reason):
        INTERESTS.several(cell)


def test_a_field_without_choices_has_an_empty_list():
    assert not ChoiceList([])
