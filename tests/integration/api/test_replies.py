"""Every answer is in the envelope and reveals no internals."""

import logging

import pytest
from werkzeug.exceptions import RequestEntityTooLarge, ServiceUnavailable

from contactexport.api.responses import raw_error
from contactexport.errors import BrokerUnavailable, DatabaseUnavailable, ExportLost, InvalidRequest, TooManyRequests

SECRET = "postgresql://root:geheim@db/contacts"


@pytest.fixture
def raising(app, client):
    """Calls a route that raises an error."""
    raised: list[BaseException] = []

    @app.get("/raises")
    def raises():
        raise raised.pop()

    def call(error: BaseException):
        raised.append(error)
        return client.get("/raises")

    return call


def envelope(status, reply_code, text):
    return status, {"replyCode": reply_code, "replyText": text, "data": ""}


def of(answer):
    assert answer.content_type == "application/json"
    return answer.status_code, answer.json


@pytest.mark.parametrize(
    "error",
    [RuntimeError(SECRET), KeyError(SECRET), AssertionError(SECRET), RecursionError(SECRET), ExportLost(SECRET)],
    ids=repr,
)
def test_unexpected_error_is_500_without_internals(raising, error, caplog):
    answer = raising(error)
    assert of(answer) == envelope(500, 1, "Internal error")
    assert "geheim" not in answer.text
    assert "Traceback" not in answer.text
    assert caplog.records[-2].levelno == logging.ERROR or caplog.records[-1].levelno == logging.ERROR
    assert "unexpected error" in caplog.text


@pytest.mark.parametrize("error", [DatabaseUnavailable(SECRET), BrokerUnavailable(SECRET)], ids=repr)
def test_outage_is_503_without_internals(raising, error):
    answer = raising(error)
    assert of(answer) == envelope(503, 1, "The service is not available now. Please try again later.")


def test_own_errors_have_status_code_and_text(raising):
    assert of(raising(InvalidRequest("Invalid export ID"))) == envelope(400, 10001, "Invalid export ID")


def test_limit_error_has_retry_after(raising):
    answer = raising(TooManyRequests("More than 5 requests in a minute", 42))
    assert of(answer) == envelope(429, 1, "More than 5 requests in a minute")
    assert answer.headers["Retry-After"] == "42"


def test_http_errors_are_named_by_status(raising):
    assert of(raising(RequestEntityTooLarge(SECRET))) == envelope(413, 1, "Request entity too large")
    assert of(raising(ServiceUnavailable(SECRET))) == envelope(503, 1, "Service unavailable")


@pytest.mark.parametrize(
    "path", ["/x", "/x/", "/api/v2", "/api/v2/x", "/api/v2//field", "//x", "/api/v2/field//", "/%ff", "/\N{SNOWMAN}"]
)
def test_unknown_path_is_404(api, path):
    assert of(api.get("/", environ_overrides={"PATH_INFO": path.encode().decode("latin-1")})) == envelope(
        404, 1, "Not found"
    )


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"])
def test_wrong_method_is_405_and_answer_lists_allowed_ones(api, method):
    answer = api.open("/api/v2/contact/getchanges", method=method)
    assert of(answer) == envelope(405, 1, "Method not allowed")
    assert answer.headers["Allow"] == "POST"


def test_body_of_more_than_64_kib_is_413(api):
    assert of(post(api, b" " * (64 * 1024 + 1))) == envelope(413, 1, "Request entity too large")
    assert of(post(api, b" " * (64 * 1024))) == envelope(400, 10001, "Invalid JSON in the request body")


def test_body_with_other_content_type_is_415(api):
    assert of(post(api, b"{}", "application/xml")) == envelope(415, 1, "Unsupported media type")


def test_head_is_get_without_body(api):
    for path in ("/healthz", "/api/v2/form", "/api/v2/x"):
        head, get = api.head(path), api.get(path)
        assert (head.status_code, head.content_type, head.data) == (get.status_code, get.content_type, b"")


def test_keys_have_documented_order(api):
    assert api.get("/api/v2/form").text.startswith('{"replyCode":0,"replyText":"OK","data":[')


def test_raw_error_is_whole_answer_in_envelope():
    head, body = raw_error(431, "Request Header Fields Too Large").split(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 431 Request Header Fields Too Large\r\n")
    assert f"Content-Length: {len(body)}".encode() in head.split(b"\r\n")
    assert body == b'{"replyCode": 1, "replyText": "Request Header Fields Too Large", "data": ""}'


def post(api, body, content_type="application/json"):
    return api.post("/api/v2/contact/getchanges", data=body, content_type=content_type)
