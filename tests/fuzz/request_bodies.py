"""Strategies for bodies of getchanges: almost valid ones, JSON of all kinds, and bytes that are no JSON."""

import json
from datetime import date
from typing import Any

from hypothesis import strategies as st

LOCAL = {
    "distribution_method": "local",
    "origin": "form",
    "origin_id": "123",
    "time_range": ["2012-02-09", "2012-04-02"],
    "contact_fields": ["1", "3", "106533"],
}
FTP_SETTINGS = {"host": "www.example.com", "port": "1234", "username": "user", "password": "pass", "folder": "a/b"}
NAMES = [
    *LOCAL,
    "delimiter",
    "add_field_names_header",
    "language",
    "ftp_settings",
    "notification_url",
    "spreadsheet",
    "sftp_settings",
    "compression",
    "encryption",
]

any_text = st.text(max_size=30)
odd_text = st.text(st.characters(categories=["Cs", "Cc", "Zl", "Nd"]), max_size=5)
numbers = (
    st.integers()
    | st.integers(-(10**30), 10**30)
    | st.sampled_from([0, 1, -1, 2**31, 2**63 - 1, 2**63, 10**18, 10**400])
    | st.floats()
    | st.sampled_from([1.0, -0.0, 1e308])
)
scalars = st.none() | st.booleans() | numbers | any_text | any_text | odd_text
json_values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(any_text, inner, max_size=4),
    max_leaves=12,
)

days = st.dates().map(str)
moments = (
    st.datetimes().map(lambda at: at.isoformat(sep=" ", timespec="seconds"))
    | st.builds(
        "{}{}{}{}".format,
        days,
        st.sampled_from(["T", " ", "t", ""]),
        st.sampled_from(["00:00", "23:59:59", "24:00", "02:30:00.123456", "25:61"]),
        st.sampled_from(["Z", "+00", "+14:00", "-23:59", "+24:00", "+0530", "-00:00", "z"]),
    )
    | st.sampled_from(["0001-01-01", "9999-12-31", "0000-00-00", "2012-02-30", "0001-01-01T00:00+14", "2012-1-1"])
)
hosts = any_text | st.sampled_from(
    [
        "www.example.com",
        "127.0.0.1",
        "[::1]",
        "::ffff:10.0.0.1",
        "0x7f.1",
        "a" * 254,
        "xn--a",
        "ä.de",
        "。",
        "1.2.3.4.5",
    ]
)
urls = any_text | st.builds(
    "{}{}{}{}".format,
    st.sampled_from(["http://", "https://", "HTTP://", "ftp://", "http:", "//"]),
    hosts,
    st.sampled_from(["", ":0", ":99999", ":x", ":80", "]", "[", "@", ":²"]),
    any_text,
)
ids = (
    st.sampled_from([123, "124", 456, "789", 0, "0", 1, "3", 27, "106533", "１", "1_000", " 1", "+1", "0" * 30])
    | scalars
)
ftp_settings = st.fixed_dictionaries(
    {},
    optional={
        "host": hosts | json_values,
        "port": ids,
        "username": any_text | json_values,
        "password": any_text | json_values,
        "folder": any_text | json_values,
        "tls": st.sampled_from([0, 1, "1", 2]) | json_values,
        "temporary_name": st.sampled_from(["%s.tmp", "in/%s", "%s", "%d", ""]) | json_values,
    },
).map(lambda changes: FTP_SETTINGS | changes)

SFTP_SETTINGS = {"host": "www.example.com", "username": "user", "host_key": "SHA256:" + "A" * 43}
sftp_settings = st.fixed_dictionaries(
    {},
    optional={
        "host": hosts | json_values,
        "port": ids,
        "password": any_text | json_values,
        "private_key": st.sampled_from(["-----BEGIN PRIVATE KEY-----\n", "-----BEGIN OPENSSH PRIVATE KEY-----"])
        | json_values,
        "passphrase": any_text | json_values,
        "host_key": st.sampled_from(["SHA256:" + "A" * 42, "MD5:"]) | json_values,
    },
).map(lambda changes: SFTP_SETTINGS | changes)

LIKELY: dict[str, st.SearchStrategy[Any]] = {
    "distribution_method": st.sampled_from(["ftp", "sftp", "local", "FTP", ""]),
    "origin": st.sampled_from(["form", "api", "all", "Form"]),
    "origin_id": ids | st.lists(ids, max_size=5),
    "time_range": st.lists(days, min_size=2, max_size=2, unique=True).map(sorted)
    | st.lists(moments | days | scalars, max_size=3),
    "contact_fields": st.lists(ids, max_size=8) | st.lists(st.integers(0, 50), min_size=1, max_size=200),
    "delimiter": st.sampled_from([",", ";", "\t", "", '"']),
    "add_field_names_header": st.sampled_from([0, 1, "0", "1", 2, "01", True, 1.0]),
    "language": st.sampled_from(["en", "DE", "ı", "İ", "xx", "ﬁ"]),
    "ftp_settings": ftp_settings,
    "notification_url": urls,
    "spreadsheet": st.sampled_from([0, 1, "1"]),
    "sftp_settings": sftp_settings,
    "compression": st.sampled_from(["gzip", "zip", ""]),
    "encryption": st.fixed_dictionaries(
        {}, optional={"openpgp_key": st.just("-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nAA") | json_values}
    ),
}


@st.composite
def nearly_right(draw: st.DrawFn) -> dict[str, Any]:
    """A request with a few parameters changed to likely or arbitrary values, and a few missing."""
    changed = draw(st.lists(st.sampled_from(NAMES), max_size=4, unique=True))
    body = LOCAL | {"time_range": [str(draw(st.dates(date(1990, 1, 1), date(2020, 1, 1)))), "2020-01-02"]}
    body |= {name: draw(LIKELY[name] | json_values if draw(st.booleans()) else LIKELY[name]) for name in changed}
    if draw(st.integers(0, 2)) == 0:
        body |= {"distribution_method": "ftp", "ftp_settings": draw(ftp_settings)}
    elif draw(st.integers(0, 2)) == 0:
        body |= {"distribution_method": "sftp", "sftp_settings": draw(sftp_settings)}
    for name in draw(st.lists(st.sampled_from(NAMES), max_size=1)):
        body.pop(name, None)
    return body


@st.composite
def serialised(draw: st.DrawFn, values: st.SearchStrategy[Any]) -> bytes:
    """JSON as Python writes it, escaped or not, in some encoding. It may have lone surrogates, NaN and Infinity."""
    text = json.dumps(draw(values), ensure_ascii=draw(st.booleans()))
    encoding = draw(st.sampled_from(["utf-8"] * 9 + ["utf-8-sig", "utf-16", "utf-32-le"]))
    return text.encode(encoding, "surrogatepass")


@st.composite
def damaged(draw: st.DrawFn, texts: st.SearchStrategy[bytes]) -> bytes:
    """A text with some of its bytes replaced by others."""
    text = draw(texts)
    start = draw(st.integers(0, len(text)))
    return text[:start] + draw(st.binary(max_size=6)) + text[start + draw(st.integers(0, 6)) :]


@st.composite
def with_a_key_twice(draw: st.DrawFn) -> bytes:
    pairs = [*LOCAL.items(), (draw(st.sampled_from(NAMES)), draw(scalars)), (draw(st.sampled_from(NAMES)), draw(ids))]
    return ("{" + ", ".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in pairs) + "}").encode()


@st.composite
def deeply_nested(draw: st.DrawFn) -> bytes:
    levels = draw(st.integers(1, 70) | st.integers(900, 1100) | st.just(30_000))
    opening, closing = draw(st.sampled_from([("[", "]"), ('{"a":', "}")]))
    value = opening * levels + "1" + (closing * levels if draw(st.booleans()) else "")
    name = draw(st.sampled_from([*NAMES, "made_up"]))
    return (json.dumps(LOCAL)[:-1] + f', "{name}": {value}}}').encode()[: draw(st.just(10**6) | st.integers(0, 70_000))]


@st.composite
def with_a_long_number(draw: st.DrawFn) -> bytes:
    number = draw(st.sampled_from(["", "-"])) + "9" * draw(st.integers(15, 60) | st.integers(4000, 5000))
    number += draw(st.sampled_from(["", "", ".5", "e9", "e99999", "E-99999"]))
    quote = draw(st.sampled_from(["", '"']))
    name = draw(st.sampled_from(NAMES))
    value = draw(st.sampled_from(["{}", "[{}]", '["2012-02-09", {}]'])).format(quote + number + quote)
    return (json.dumps(LOCAL)[:-1] + f', "{name}": {value}}}').replace(f'"{name}": ', '"x": ', 1).encode()


bodies = (
    serialised(nearly_right())
    | serialised(nearly_right())
    | serialised(nearly_right())
    | serialised(nearly_right())
    | serialised(nearly_right())
    | serialised(json_values)
    | damaged(serialised(nearly_right()))
    | with_a_key_twice()
    | deeply_nested()
    | with_a_long_number()
    | st.binary(max_size=200)
    | st.integers(65_000, 66_500).map(lambda size: b'{"a": "' + b"x" * size + b'"}')
)
