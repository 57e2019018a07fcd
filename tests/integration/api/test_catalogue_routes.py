"""GET /api/v2/field, /form and /source: the ids that requests may name, in a language."""

import dataclasses

import pytest

from contactexport.catalogue import CachedCatalogue
from contactexport.languages import LANGUAGES

WRONG_LANGUAGES = ["xx", "en-GB", "e", "en ", "١", "%00", "%0a"]


def data(api, path):
    answer = api.get(f"/api/v2/{path}")
    assert (answer.status_code, answer.json["replyCode"], answer.json["replyText"]) == (200, 0, "OK"), answer.json
    return answer.json["data"]


def refusal(api, path):
    answer = api.get(f"/api/v2/{path}")
    assert (answer.status_code, answer.json["replyCode"], answer.json["data"]) == (400, 10001, "")
    return answer.json["replyText"]


def named(fields):
    return {field["id"]: field["name"] for field in fields}


def test_every_field_has_id_name_type_and_name_of_original(api):
    fields = data(api, "field")
    first_name = {"id": 1, "name": "First Name", "application_type": "shorttext", "string_id": "first_name"}
    assert first_name in fields
    assert {field["id"]: field["string_id"] for field in fields if field["id"] in (3, 48, 106533)} == {
        3: "email",
        48: "registration_date",
        106533: "",
    }
    assert {field["id"] for field in fields} == {*range(49), 106533}
    assert [set(field) for field in fields] == [{"id", "name", "application_type", "string_id"}] * len(fields)


@pytest.mark.parametrize("code, name", [("de", "Vorname"), ("DE", "Vorname"), ("fr", "Prénom"), ("en", "First Name")])
def test_fields_are_named_in_language(api, code, name):
    assert named(data(api, f"field/translate/{code}"))[1] == name


def test_language_without_names_shows_english_names(api):
    assert "ja" not in LANGUAGES
    assert named(data(api, "field/translate/jp")) == named(data(api, "field/translate/en"))


def test_default_language_is_that_of_service(app, api, context):
    german = dataclasses.replace(context, settings=dataclasses.replace(context.settings, language="de"))
    app.extensions["contactexport"] = german
    assert named(data(api, "field"))[1] == "Vorname"
    assert {choice["choice"] for choice in data(api, "field/5/choice")} == {"Männlich", "Weiblich"}


@pytest.mark.parametrize("code", WRONG_LANGUAGES)
def test_unknown_language_is_refused(api, code):
    shown = "it has a NUL character" if "%00" in code else code.replace("%0a", "\n")
    assert refusal(api, f"field/translate/{code}") == f"Invalid value for language: {shown}"
    assert refusal(api, f"field/5/choice/translate/{code}") == f"Invalid value for language: {shown}"


def test_choices_have_id_and_label(api):
    assert data(api, "field/5/choice") == [{"id": "1", "choice": "Male"}, {"id": "2", "choice": "Female"}]
    assert data(api, "field/5/choice/translate/de")[0] == {"id": "1", "choice": "Männlich"}


def test_field_without_choices_has_empty_list(api):
    assert data(api, "field/1/choice") == []


@pytest.mark.parametrize(
    "field_id", ["999999", "-1", "x", "1_000", "1.0", "%D9%A1", "٥", " 5", "9" * 19, "9" * 5000, "5;x"]
)
def test_unknown_field_is_refused(api, field_id):
    assert refusal(api, f"field/{field_id}/choice").startswith("Invalid contact field id: ")


@pytest.mark.parametrize("query", ["fields=5,9", "fields=5,9,5/", "fields=5, 9&language=en/", "fields=5,9&language="])
def test_choices_of_several_fields_are_grouped_by_field_id(api, query):
    told = data(api, f"field/choices?{query}")
    assert told == {field_id: data(api, f"field/{field_id}/choice") for field_id in ("5", "9")}


def test_choices_of_several_fields_are_labelled_in_language(api):
    told = data(api, "field/choices?fields=5,1&language=DE")
    assert told == {"5": data(api, "field/5/choice/translate/de"), "1": []}


@pytest.mark.parametrize(
    "query, text",
    [
        ("", "Missing parameter: fields"),
        ("?fields=", "Missing parameter: fields"),
        ("?fields=5,999999", "Invalid contact field id: 999999"),
        ("?fields=5,,9", "Invalid contact field id: "),
        ("?fields=5&language=xx", "Invalid value for language: xx"),
    ],
)
def test_choices_of_invalid_fields_are_refused(api, query, text):
    assert refusal(api, f"field/choices{query}") == text


def test_catalogue_is_read_once_for_any_number_of_fields(api, monkeypatch):
    looks = []
    current = CachedCatalogue.current
    monkeypatch.setattr(CachedCatalogue, "current", lambda self: (looks.append(1), current(self))[1])
    data(api, "field/choices?fields=5,9,14,46")
    assert len(looks) == 1


def test_languages_of_exports_are_named_in_language(api):
    told = data(api, "language")
    assert {one["id"] for one in told} == LANGUAGES
    assert {"id": "de", "language": "German"} in told
    assert {"id": "cz", "language": "Tschechisch"} in data(api, "language/translate/DE")
    assert refusal(api, "language/translate/xx") == "Invalid value for language: xx"


def test_every_form_has_type(api):
    assert [form["type"] for form in data(api, "form")] == ["1", "1"]
    assert all(source.keys() == {"id", "name"} for source in data(api, "source"))


def test_forms_and_sources_are_those_that_requests_may_name(api):
    assert {form["id"]: form["name"] for form in data(api, "form")}.keys() == {"123", "124"}
    assert {source["id"] for source in data(api, "source")} == {"0", "456", "789"}


@pytest.mark.parametrize("path", ["field", "field/translate/de", "field/5/choice", "form", "source"])
def test_other_methods_are_405(api, path):
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
        answer = api.open(f"/api/v2/{path}", method=method)
        assert (answer.status_code, answer.json["replyText"]) == (405, "Method not allowed")
        assert set(answer.headers["Allow"].split(", ")) == {"GET", "HEAD"}


def test_callers_without_credentials_get_401(client):
    for path in ("field", "field/translate/de", "field/5/choice", "field/x/choice", "form", "source"):
        assert client.get(f"/api/v2/{path}").status_code == 401
