"""The sample catalogue is complete: every field and every choice in five languages."""

import json

import pytest

from contactexport.embedded import sample_catalogue

LANGUAGES = {"en", "de", "fr", "hu", "es"}


def read(name: str) -> list[dict]:
    return json.loads((sample_catalogue.FOLDER / f"{name}.json").read_text(encoding="utf-8"))


FIELDS = read("fields")
CHOICES = {field_id: group["choices"] for group in read("choices") for field_id in group["field_ids"]}


def test_origins_are_those_of_contract():
    origins = [(one["kind"], one["id"]) for one in read("origins")]
    assert sorted(origins) == [("api", 0), ("api", 456), ("api", 789), ("form", 123), ("form", 124)]


def test_fields_are_system_fields_and_one_custom_field():
    assert [field["id"] for field in FIELDS] == [*range(49), 106533]
    custom = FIELDS[-1]
    assert (custom["name"], custom["application_type"]) == ("Loyalty number", "shorttext")


def test_every_field_has_its_own_column():
    assert len({field["column_name"] for field in FIELDS}) == len(FIELDS)


def test_fields_that_original_does_not_export_are_not_exportable():
    assert [field["id"] for field in FIELDS if not field["exportable"]] == [27, 28, 29, 32, 33]


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field["column_name"])
def test_every_field_has_name_in_every_language(field):
    assert set(field["names"]) == LANGUAGES
    assert all(name == name.strip() and name for name in field["names"].values())
    assert field["name"] == field["names"]["en"]


def test_only_choice_fields_have_choices():
    expected = {f["id"] for f in FIELDS if f["application_type"] in {"singlechoice", "interests"}}
    assert set(CHOICES) == expected
    assert expected >= {0, 5, 9, 14, 46}


@pytest.mark.parametrize("field_id", CHOICES)
def test_every_choice_has_unique_id_and_label_in_every_language(field_id):
    choices = CHOICES[field_id]
    assert len(choices) == len({choice["id"] for choice in choices}) >= 2
    for choice in choices:
        assert set(choice["labels"]) == LANGUAGES
        assert all(label == label.strip() and label for label in choice["labels"].values())


@pytest.mark.parametrize("field_id", CHOICES)
@pytest.mark.parametrize("language", sorted(LANGUAGES))
def test_labels_within_field_are_unique(field_id, language):
    labels = [choice["labels"][language] for choice in CHOICES[field_id]]
    assert len(labels) == len(set(labels))


def test_labels_are_translated_and_keep_accents():
    countries = {choice["labels"]["en"]: choice["labels"] for choice in CHOICES[14]}
    assert countries["Austria"]["de"] == "Österreich"
    assert countries["Spain"]["es"] == "España"
    assert countries["Germany"]["hu"] == "Németország"
    assert countries["Greece"]["fr"] == "Grèce"
    assert len(countries) >= 40


def test_choice_ids_are_listed_by_column():
    ids = sample_catalogue.choice_ids_by_column()
    assert ids["gender"] == [1, 2]
    assert ids["country"] == ids["country_office"]
    assert 10 in ids["country"]
    assert "first_name" not in ids
