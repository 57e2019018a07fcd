"""What must hold of every answer, whatever was asked."""

import json

# Their answers are a document and a page, when all goes well.
WITHOUT_ENVELOPE = ("/api/v2/openapi.json", "/docs")


def check(method: str, status: int, content_type: str | None, body: bytes) -> None:
    """Fails unless the answer is no 5xx and exactly the envelope."""
    assert status < 500, (status, body)
    if method == "HEAD":
        assert body == b""
        return
    assert content_type == "application/json"
    reply = json.loads(body)
    assert set(reply) == {"replyCode", "replyText", "data"}
    assert type(reply["replyCode"]) is int
    assert isinstance(reply["replyText"], str)
    assert reply["replyText"]
    if status == 200:
        assert (reply["replyCode"], reply["replyText"]) == (0, "OK")
        return
    assert reply["replyCode"] in ({10001, 4001} if status == 400 and reply["replyCode"] != 1 else {1})
    assert reply["data"] == ""
    if reply["replyCode"] != 10001:  # those show the value that was sent, line ends included
        assert len(reply["replyText"].splitlines()) == 1
