"""Whatever the headers, the method and the path, the answer is the envelope and no 5xx."""

import json

from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz import envelope
from tests.fuzz.fuzz_cases import count, fuzz
from tests.fuzz.request_bodies import LOCAL

HEADER_TEXT = st.text(st.characters(max_codepoint=255, exclude_characters="\r\n"), max_size=60)
QUOTED = st.builds(
    '{}="{}"'.format, st.sampled_from(["Username", "PasswordDigest", "Nonce", "Created", "X"]), HEADER_TEXT
)
WSSE = st.builds(lambda parts: "UsernameToken " + ", ".join(parts), st.lists(QUOTED, max_size=5)) | HEADER_TEXT
AUTHORIZATION = st.builds("{} {}".format, st.sampled_from(["Bearer", "bearer", "Basic", "WSSE", ""]), HEADER_TEXT)
HEADERS = {
    "X-WSSE": WSSE,
    "WSSE": WSSE,
    "Authorization": AUTHORIZATION,
    "Content-Type": st.sampled_from(["application/json", "a/b; charset=", "application/json;;=", "x" * 500])
    | HEADER_TEXT,
    "Content-Encoding": st.sampled_from(["gzip", "identity", "br", ""]) | HEADER_TEXT,
    "Transfer-Encoding": st.sampled_from(["chunked", "gzip, chunked", "identity"]) | HEADER_TEXT,
    "Accept": HEADER_TEXT,
    "Cookie": HEADER_TEXT,
    "Expect": st.sampled_from(["100-continue", "x"]),
    "Host": st.sampled_from(["", "a b", "localhost:x", "[::1", "ä", "a" * 300, "a/b"]) | HEADER_TEXT,
    "If-None-Match": HEADER_TEXT,
    "If-Modified-Since": HEADER_TEXT,
    "Range": st.sampled_from(["bytes=0-", "bytes=9-1", "bytes=-0", "x=1-2", "bytes=99999999999999999999-"])
    | HEADER_TEXT,
    "X-Forwarded-For": HEADER_TEXT,
    "X-HTTP-Method-Override": st.sampled_from(["DELETE", "PATCH"]),
}
CONTENT_LENGTHS = st.sampled_from(["-1", "+5", " 5", "5 ", "5,5", "0x5", "٥", "9" * 40, "1e3", "65537", "", "7"])
METHODS = st.sampled_from(
    ["GET", "POST", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE", "TRACE", "CONNECT", "PROPFIND", "get"]
)
SEGMENT = (
    st.sampled_from(["api", "v2", "contact", "getchanges", "export", "field", "choice", "translate", "form", "source"])
    | st.sampled_from(
        ["healthz", "readyz", "docs", "assets", "..", ".", "", "%2e%2e", "en", "DE", "data", "openapi.json"]
    )
    | st.integers(-1, 10**20).map(str)
    | st.sampled_from(
        ["9" * 19, "9223372036854775807", "9223372036854775808", "9" * 5000, "１", "5", "1;x=1", "\0", "offset=0"]
    )
    | st.text(st.characters(), max_size=10)
)
KNOWN = st.sampled_from(
    ["/api/v2/export/", "/api/v2/field/", "/api/v2/field/translate/", "/api/v2/", "/docs/assets/", "/"]
)
PATHS = st.builds("{}{}".format, KNOWN, st.lists(SEGMENT, max_size=4).map("/".join))


def send(client, method, path, **options):
    """The bytes of the path as WSGI has them (PEP 3333)."""
    count()
    raw_path = path.encode("utf-8", "surrogatepass").decode("latin-1")
    environ = options.pop("environ", {}) | {"PATH_INFO": raw_path}
    answer = client.open("/", method=method, environ_overrides=environ, **options)
    if path.startswith(envelope.WITHOUT_ENVELOPE) and answer.status_code < 400:
        return
    envelope.check(method.upper(), answer.status_code, answer.content_type, answer.data)


@fuzz(0.12)
@given(
    headers=st.fixed_dictionaries({}, optional=HEADERS),
    length=st.none() | CONTENT_LENGTHS,
    method=METHODS | st.just("POST"),
    body=st.binary(max_size=20) | st.just(json.dumps(LOCAL).encode()),
)
def test_no_header_is_answered_with_a_5xx(api, headers, length, method, body):
    environ = {} if length is None else {"CONTENT_LENGTH": length}
    send(api, method, "/api/v2/contact/getchanges", data=body, headers=headers, environ=environ)


@fuzz(0.05)
@given(
    headers=st.fixed_dictionaries({}, optional=HEADERS),
    form=st.none() | st.just("application/x-www-form-urlencoded"),
    length=st.none() | CONTENT_LENGTHS,
    body=st.binary(max_size=20) | st.just(b"grant_type=client_credentials"),
)
def test_no_header_of_a_token_request_is_answered_with_a_5xx(client, headers, form, length, body):
    count()
    environ = {} if length is None else {"CONTENT_LENGTH": length}
    headers = headers if form is None else headers | {"Content-Type": form}
    answer = client.post("/oauth2/token", data=body, headers=headers, environ_overrides=environ)
    assert answer.status_code in {400, 401, 413, 415}, answer.data


@fuzz(0.12)
@given(method=METHODS, path=PATHS, query=st.text(st.characters(max_codepoint=255), max_size=20))
def test_no_path_is_answered_with_a_5xx(api, method, path, query):
    send(api, method, path, environ={"QUERY_STRING": query})


@fuzz(0.05)
@given(
    headers=st.fixed_dictionaries({}, optional={name: HEADERS[name] for name in ("X-WSSE", "WSSE", "Authorization")}),
    method=METHODS,
    path=st.builds("/api{}".format, PATHS | st.just("")),
)
def test_strangers_get_nothing_but_401_and_404(client, headers, method, path):
    send(client, method, path, headers=headers)
    answer = client.open(path.encode("utf-8", "replace").decode(), method=method, headers=headers)
    assert answer.status_code in {401, 404}
