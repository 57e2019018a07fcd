"""POST /api/v2/contact/getchanges answers as the conformance cases demand."""

import json
from pathlib import Path

import pytest

CASES = json.loads((Path(__file__).parents[2] / "data" / "error_cases.json").read_text())
URL = "/api/v2/contact/getchanges"


def request_of(case):
    body = {key: value for key, value in CASES["base"].items() if key not in case.get("remove", ())}
    return body | case.get("set", {})


def post(api, case):
    text = case["body"] if "body" in case else json.dumps(request_of(case))
    return api.post(URL, data=text, content_type="application/json")


@pytest.mark.parametrize("case", CASES["cases"], ids=lambda case: case["name"])
def test_bad_request_is_refused_with_text_of_specification(api, case):
    answer = post(api, case)
    assert (answer.status_code, answer.json) == (
        case["http"],
        {"replyCode": case["replyCode"], "replyText": case["replyText"], "data": ""},
    )


@pytest.mark.parametrize("case", CASES["accepted"], ids=lambda case: case["name"])
def test_good_request_is_accepted_with_id(api, case):
    answer = post(api, case)
    assert answer.status_code == 200, answer.json
    assert answer.json["replyCode"] == 0
    assert answer.json["replyText"] == "OK"
    assert isinstance(answer.json["data"]["id"], int)
