"""Whatever the body of getchanges, the answer is the envelope and no 5xx."""

from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz import envelope
from tests.fuzz.fuzz_cases import count, fuzz
from tests.fuzz.request_bodies import bodies

CONTENT_TYPES = st.sampled_from(
    ["application/json"] * 8
    + [
        "",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/vnd.api+json; charset=UTF-8",
        "application/json; charset=utf-16",
        "application/json; charset=\x00",
        "text/plain",
        "/",
        ";",
    ]
)


@fuzz(0.4)
@given(body=bodies, content_type=CONTENT_TYPES)
def test_no_body_is_answered_with_a_5xx(api, body, content_type):
    count()
    answer = api.post("/api/v2/contact/getchanges", data=body, headers={"Content-Type": content_type})
    envelope.check("POST", answer.status_code, answer.content_type, answer.data)
