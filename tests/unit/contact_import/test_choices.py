import pytest

from contactexport.contact_import.choices import ChoiceList

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
def test_cell_names_a_choice_by_label_in_any_language_or_by_id(cell: str, choice: str | None):
    assert CHILDREN.one(cell) == choice


def test_label_takes_precedence_over_id():
    assert CHILDREN.one("1") == "2"


def test_unknown_choice_is_refused_by_name():
    with pytest.raises(ValueError, match="'Many' is neither a label nor an id of its choices"):
        CHILDREN.one("Many")


def test_label_of_two_choices_is_ambiguous():
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
def test_commas_separate_choices_whose_labels_may_have_commas(cell: str, choices: str | None):
    assert INTERESTS.several(cell) == choices


@pytest.mark.parametrize(
    "cell, reason",
    [("Music, Chess", "' Chess' is neither"), ("Music,,Sport", "two commas"), ("Music,", "commas")],
)
def test_bad_choice_among_several_is_named(cell: str, reason: str):
    with pytest.raises(ValueError, match=reason):
        INTERESTS.several(cell)


def test_field_without_choices_has_an_empty_list():
    assert not ChoiceList([])
