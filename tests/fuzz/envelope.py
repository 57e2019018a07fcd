"""What must be true of every answer to every request."""

import json

# These answers have no envelope after a success: a document, a page and its style sheet, a file.
WITHOUT_ENVELOPE = ("/api/v2/openapi.json", "/docs")
REPLY_CODES = {400: {1, 10001, 4001}, 404: {1, 4004, 4005, 4006}, 410: {4003}}


def check(method: str, status: int, content_type: str | None, body: bytes) -> None:
    """Fails if the answer is a 5xx, or neither exactly the envelope nor a file."""
    assert status < 500, (status, body)
    if method == "HEAD" or status in {204, 304}:
        assert body == b""
        return
    if status in {200, 206} and content_type == "text/csv; charset=utf-8":
        return
    assert content_type == "application/json"
    reply = json.loads(body)
    assert set(reply) == {"replyCode", "replyText", "data"}
    assert type(reply["replyCode"]) is int
    assert isinstance(reply["replyText"], str)
    if status == 200:
        assert (reply["replyCode"], reply["replyText"]) == (0, "OK")
        return
    assert reply["replyCode"] in REPLY_CODES.get(status, {1})
    assert reply["data"] == ""
    if reply["replyCode"] != 10001:  # these repeat the value of the request with its line ends
        assert len(reply["replyText"].splitlines()) == 1
