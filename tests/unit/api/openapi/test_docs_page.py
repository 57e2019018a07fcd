"""The page /docs shows an answer of each route that fits the document, and lists shared rows once."""

import json

import pytest
from jsonschema import Draft202012Validator

from contactexport.api.openapi import docs_page
from contactexport.api.openapi.document import document
from contactexport.api.openapi.schema_nodes import example_of, json_text

LISTED = {operation.id: operation for operation in docs_page.operations(document())}


@pytest.mark.parametrize("operation", LISTED.values(), ids=LISTED)
def test_example_answer_fits_document(operation):
    described = document()["paths"][operation.path][operation.method.lower()]["responses"]["200"]["content"]
    if "text/csv" in described:
        assert operation.answer_example.startswith("user_id,")
        return
    answer = json.loads(operation.answer_example)
    schema = {**described["application/json"]["schema"], "components": document()["components"]}
    Draft202012Validator(schema).validate(answer)
    assert answer.get("replyText", "OK") == "OK"


def test_language_and_parameters_in_path_are_further_ways_to_one_answer():
    others = {operation.id: [other.id for other in operation.others] for operation in LISTED.values()}
    assert {name: found for name, found in others.items() if found} == {
        "data": ["data_by_path"],
        "fields": ["fields_in_language"],
        "choices": ["choices_in_language"],
        "languages": ["languages_in_language"],
    }
    assert [row.name for row in LISTED["choices"].inputs] == ["field_id", "language"]


def test_feed_refers_to_parameters_of_getchanges():
    request = LISTED["add_feed"].request
    assert request.like is LISTED["getchanges"]
    assert {"name", "schedule", "from"} <= {row.name for row in request.own}
    assert "time_range" in request.without


def test_answers_refer_to_that_of_the_single_thing():
    assert LISTED["exports"].answer.like is LISTED["cancel"].answer.like is LISTED["status"]
    assert (LISTED["exports"].answer.is_list, LISTED["cancel"].answer.is_list) == (True, False)
    assert LISTED["status"].answer.like is None


def test_body_to_try_calls_no_other_host():
    for operation in LISTED.values():
        assert "www.example.com" not in operation.to_try
    assert json.loads(LISTED["getchanges"].to_try)["distribution_method"] == "local"
    assert json.loads(LISTED["getchanges"].request_example)["distribution_method"] == "ftp"


@pytest.mark.parametrize(
    "schema, example",
    [
        ({"type": "object", "required": ["a"], "properties": {"a": {"type": "integer"}, "b": {}}}, {"a": 0}),
        ({"type": "array", "items": {"enum": ["x", "y"]}}, ["x"]),
        ({"type": ["string", "null"]}, None),
        ({}, {}),
    ],
    ids=str,
)
def test_example_without_examples_is_the_plainest_value(schema, example):
    assert example_of({}, schema) == example


def test_arrays_of_plain_values_are_on_one_line():
    assert json_text({"a": [1, 2], "b": [[1], [2]]}) == '{\n  "a": [1, 2],\n  "b": [\n    [1],\n    [2]\n  ]\n}'
