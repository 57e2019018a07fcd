"""contactexport.api.request_json: what is JSON and what is refused, before any parameter is checked."""

import gzip
import json
import tracemalloc

import pytest
from flask import Request
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.exceptions import RequestEntityTooLarge, UnsupportedMediaType
from werkzeug.test import EnvironBuilder

from contactexport.api.request_json import MAX_LEVELS, MAY_HOLD_NUL, load_object, parse
from contactexport.errors import InvalidRequest

finite = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    # Without NUL, which only some parameters may contain.
    | st.text(st.characters(codec="utf-8", exclude_characters="\0")),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8", exclude_characters="\0")), inner)
    ),
    max_leaves=20,
)


def request_with(body: bytes, content_type: str | None = "application/json", **headers: str) -> Request:
    return Request(EnvironBuilder(method="POST", data=body, content_type=content_type, headers=headers).get_environ())


def refused(text: str | bytes) -> bool:
    try:
        parse(text if isinstance(text, bytes) else text.encode())
    except (ValueError, RecursionError):
        return True
    return False


def nested(levels: int, opening: str = "[", closing: str = "]") -> str:
    return opening * levels + closing * levels


@given(value=finite, ensure_ascii=st.booleans())
def test_json_written_by_python_is_read_back(value, ensure_ascii):
    assert parse(json.dumps(value, ensure_ascii=ensure_ascii).encode()) == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "{",
        "{'a': 1}",
        '{"a": 1,}',
        "{a: 1}",
        "[1] [2]",
        "01",
        "+1",
        ".5",
        "1.",
        '"\t"',
        '"\\x41"',
        "// {}",
        "True",
    ],
)
def test_text_that_rfc_8259_forbids_is_refused(text):
    assert refused(text)


@pytest.mark.parametrize("text", ['{"a": 1, "a": 1}', '{"b": [{"a": 1, "\\u0061": 2}]}'])
def test_repeated_key_is_refused_at_any_level(text):
    assert refused(text)


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", '{"a": [NaN]}', "1e999", "-1e999"])
def test_nan_and_infinite_numbers_are_refused(text):
    assert refused(text)


def test_integers_of_thousands_of_digits_are_refused():
    assert not refused("9" * 4000)
    assert refused("9" * 5000)


@pytest.mark.parametrize("text", ['"\\ud800"', '{"\\udfff": 1}', '["\\ud83d"]', '{"a": "\\ude00\\ud83d"}'])
def test_lone_surrogates_are_refused(text):
    assert refused(text)


def test_surrogate_pair_is_one_character():
    assert parse(b'"\\ud83d\\ude00"') == "😀"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
def test_other_encodings_are_refused(encoding):
    assert refused('{"a": "ä"}'.encode(encoding))


def test_bytes_that_are_not_utf8_are_refused():
    assert refused(b'"\xff"')
    assert refused(b'"\xed\xa0\x80"')  # a surrogate, encoded


@pytest.mark.parametrize("opening, closing", [("[", "]"), ('{"a":', "}")])
def test_nesting_is_limited(opening, closing):
    innermost = "" if opening == "[" else "1"
    deepest = opening * (MAX_LEVELS - 1) + innermost + closing * (MAX_LEVELS - 1)
    assert not refused(deepest)
    assert refused(opening * 2 + deepest + closing * 2)
    assert refused(opening * 100_000)


def test_nesting_at_limit_is_accepted():
    assert not refused(nested(MAX_LEVELS))
    assert refused(nested(MAX_LEVELS + 1))


@pytest.mark.parametrize("value", ["1", '"a"', "null"])
def test_value_inside_deepest_level_is_refused(value: str):
    assert not refused("[" * (MAX_LEVELS - 1) + value + "]" * (MAX_LEVELS - 1))
    assert refused("[" * MAX_LEVELS + value + "]" * MAX_LEVELS)


@pytest.mark.parametrize("name", sorted(MAY_HOLD_NUL))
@pytest.mark.parametrize("value", ["\0", ["\0"], {"host": "\0", "\0": [{"a": "b\0"}]}])
def test_nul_is_left_to_checks_that_name_value(name, value):
    assert parse(json.dumps({name: value}).encode()) == {name: value}


@pytest.mark.parametrize(
    "value",
    [
        "\0",
        {"origin": "\0"},
        {"\0": 1},
        {"made_up": {"ftp_settings": "\0"}},  # not the parameter of that name
        [{"ftp_settings": "\0"}],
        {"ftp_settings\0": 1},
    ],
    ids=str,
)
def test_nul_is_refused_elsewhere(value):
    assert refused(json.dumps(value))


def test_nul_beside_allowed_one_is_refused():
    assert refused('{"ftp_settings": "\\u0000", "origin": "\\u0000"}')


@pytest.mark.parametrize(
    "body", [b"[1]", b'"a"', b"1", b"null", b"", b"distribution_method=ftp", b"\xff", b"[" * 60_000]
)
def test_body_that_is_not_object_gets_specified_error(body):
    with pytest.raises(InvalidRequest, match=r"^Invalid JSON in the request body$"):
        load_object(request_with(body))


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "",
        "application/json",
        "APPLICATION/JSON",
        "text/json",
        "text/plain",
        "text/plain; charset=utf-8",
        "application/octet-stream",
        "application/vnd.api+json",
        "application/x-www-form-urlencoded",
        "application/json; charset=UTF-8",
        "application/json; charset=utf_8",
        'application/json; charset="utf8"',
        "application/json; version=2",
    ],
)
def test_content_types_of_clients_are_accepted(content_type):
    assert load_object(request_with(b'{"a": 1}', content_type)) == {"a": 1}


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain; charset=latin-1",
        "text/html",
        "application/xml",
        "multipart/form-data; boundary=x",
        "application/json; charset=utf-16",
        "application/json; charset=latin-1",
        "application/json5",
        "json",
    ],
)
def test_other_content_types_are_unsupported(content_type):
    with pytest.raises(UnsupportedMediaType):
        load_object(request_with(b'{"a": 1}', content_type))


def test_one_byte_order_mark_is_removed():
    assert load_object(request_with(b'\xef\xbb\xbf{"a": 1}')) == {"a": 1}
    assert refused(b'\xef\xbb\xbf\xef\xbb\xbf{"a": 1}')


@pytest.mark.parametrize("coding", ["gzip", "x-gzip", "GZIP"])
@pytest.mark.parametrize("parts", [[b'{"a": 1}'], [b'{"a"', b": 1}"]])
def test_gzip_is_unpacked(coding, parts):
    body = b"".join(map(gzip.compress, parts))  # several members are one body (RFC 1952, 2.2)
    assert load_object(request_with(body, **{"Content-Encoding": coding})) == {"a": 1}


@pytest.mark.parametrize(
    "body",
    [b"", b'{"a": 1}', gzip.compress(b'{"a": 1}')[:-5], gzip.compress(b'{"a": 1}')[:-8] + bytes(8), b"\x1f\x8b" * 9],
    ids=["nothing", "JSON", "cut", "another checksum", "no deflate"],
)
def test_body_wrongly_declared_as_gzip_is_invalid_json(body):
    with pytest.raises(InvalidRequest, match=r"^Invalid JSON in the request body$"):
        load_object(request_with(body, **{"Content-Encoding": "gzip"}))


def test_other_codings_are_unsupported():
    assert load_object(request_with(b'{"a": 1}', **{"Content-Encoding": "identity"})) == {"a": 1}
    for coding in ("br", "deflate", "gzip, gzip"):
        with pytest.raises(UnsupportedMediaType):
            load_object(request_with(b'{"a": 1}', **{"Content-Encoding": coding}))


def test_gzip_bomb_is_refused_before_it_is_unpacked():
    request = request_with(gzip.compress(bytes(30_000_000)), **{"Content-Encoding": "gzip"})
    request.max_content_length = 64 * 1024
    tracemalloc.start()
    with pytest.raises(RequestEntityTooLarge):
        load_object(request)
    assert tracemalloc.get_traced_memory()[1] < 2_000_000
    tracemalloc.stop()
