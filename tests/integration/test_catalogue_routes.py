"""GET /api/v2/field, /form and /source: the ids a request may name, in the language asked for."""

import dataclasses

import pytest

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


def test_every_field_has_id_name_type_and_the_original_s_name(api):
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
def test_fields_are_named_in_the_language(api, code, name):
    assert named(data(api, f"field/translate/{code}"))[1] == name


def test_a_language_without_names_shows_the_english_ones(api):
    assert "ja" not in LANGUAGES
    assert named(data(api, "field/translate/jp")) == named(data(api, "field/translate/en"))


def test_without_a_language_it_is_the_services(app, api, backend):
    german = dataclasses.replace(backend, settings=dataclasses.replace(backend.settings, language="de"))
    app.extensions["contactexport"] = german
    assert named(data(api, "field"))[1] == "Vorname"
    assert {choice["choice"] for choice in data(api, "field/5/choice")} == {"Männlich", "Weiblich"}


@pytest.mark.parametrize("code", WRONG_LANGUAGES)
def test_an_unknown_language_is_refused(api, code):
    shown = code.replace("%00", "\0").replace("%0a", "\n")
    assert refusal(api, f"field/translate/{code}") == f"Invalid value for language: {shown}"
    assert refusal(api, f"field/5/choice/translate/{code}") == f"Invalid value for language: {shown}"


def test_choices_have_id_and_label(api):
    assert data(api, "field/5/choice") == [{"id": "1", "choice": "Male"}, {"id": "2", "choice": "Female"}]
    assert data(api, "field/5/choice/translate/de")[0] == {"id": "1", "choice": "Männlich"}


def test_a_field_without_choices_has_none(api):
    assert data(api, "field/1/choice") == []


@pytest.mark.parametrize(
    "field_id", ["999999", "-1", "x", "1_000", "1.0", "%D9%A1", "٥", " 5", "9" * 19, "9" * 5000, "5;x"]
)
def test_an_unknown_field_is_refused(api, field_id):
    assert refusal(api, f"field/{field_id}/choice").startswith("Invalid contact field id: ")


def test_forms_and_sources_are_those_a_request_may_name(api):
    assert {form["id"]: form["name"] for form in data(api, "form")}.keys() == {"123", "124"}
    assert {source["id"] for source in data(api, "source")} == {"0", "456", "789"}


@pytest.mark.parametrize("path", ["field", "field/translate/de", "field/5/choice", "form", "source"])
def test_other_methods_are_405(api, path):
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
        answer = api.open(f"/api/v2/{path}", method=method)
        assert (answer.status_code, answer.json["replyText"]) == (405, "Method not allowed")
        assert set(answer.headers["Allow"].split(", ")) == {"GET", "HEAD"}


def test_strangers_are_told_nothing(client):
    for path in ("field", "field/translate/de", "field/5/choice", "field/x/choice", "form", "source"):
        assert client.get(f"/api/v2/{path}").status_code == 401
