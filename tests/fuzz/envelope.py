"""What must hold of every answer, whatever was asked."""

import json

# What is not in the envelope when all goes well: a document, a page and its style sheet, a file.
WITHOUT_ENVELOPE = ("/api/v2/openapi.json", "/docs")
REPLY_CODES = {400: {1, 10001, 4001}, 404: {1, 4004, 4005, 4006}, 410: {4003}}


def check(method: str, status: int, content_type: str | None, body: bytes) -> None:
    """Fails unless the answer is no 5xx and exactly the envelope, or a file."""
    assert status < 500, (status, body)
    if method == "HEAD" or status == 304:
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
    if reply["replyCode"] != 10001:  # those show the value that was sent, line ends included
        assert len(reply["replyText"].splitlines()) == 1
