"""contactexport.users.wsse: the form of a header, its digest and its time."""

import base64
import contextlib
import hashlib
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contactexport.errors import Unauthorized
from contactexport.users import wsse

VIENNA = ZoneInfo("Europe/Vienna")

# Made with sha1sum and base64 of coreutils, for the secret s3cret.
NONCE = "d36e316282959a9ed4c89851497a717f"
CREATED = "2026-01-31T09:30:00Z"
SHA1 = "f22ba7546eaafad53c1f6828a3de4a198525ae44"
HEX_DIGEST = "ZjIyYmE3NTQ2ZWFhZmFkNTNjMWY2ODI4YTNkZTRhMTk4NTI1YWU0NA=="
RAW_DIGEST = "8iunVG6q+tU8H2goo95KGYUlrkQ="


def header(
    username: str = "anna",
    digest: str = HEX_DIGEST,
    nonce: str = NONCE,
    created: str = CREATED,
    between: str = ", ",
) -> str:
    parts = (
        f'Username="{username}"',
        f'PasswordDigest="{digest}"',
        f'Nonce="{nonce}"',
        f'Created="{created}"',
    )
    return "UsernameToken " + between.join(parts)


@pytest.mark.parametrize("digest", [HEX_DIGEST, RAW_DIGEST])
def test_both_forms_of_the_digest_match_only_their_secret(digest: str):
    token = wsse.parse(header(digest=digest))
    assert wsse.digest_matches(token, "s3cret")
    assert not wsse.digest_matches(token, "s3creT")


def test_example_digest_follows_the_api_documentation():
    hexadecimal = hashlib.sha1(f"{NONCE}{CREATED}s3cret".encode(), usedforsecurity=False).hexdigest()
    assert hexadecimal == SHA1
    assert base64.b64encode(hexadecimal.encode()).decode() == HEX_DIGEST


@pytest.mark.parametrize("which", ["nonce", "created", "digest"])
def test_changed_part_breaks_the_digest(which: str):
    changed = {
        "nonce": NONCE[:-1] + "0",
        "created": "2026-01-31T09:30:01Z",
        "digest": HEX_DIGEST[:-3] + "X==",
    }
    assert not wsse.digest_matches(wsse.parse(header(**{which: changed[which]})), "s3cret")


@pytest.mark.parametrize(
    "text",
    [
        header(between=","),
        header(between=" ,\t"),
        header(between=" "),
        header(between="\t "),
        "usernametoken " + header()[14:],
        "USERNAMETOKEN" + header(between=" ")[13:],
        f" {header()}\r\n",
        'UsernameToken Created="2026-01-31T09:30:00Z", Nonce="n", Username="a", PasswordDigest="' + RAW_DIGEST + '"',
        header(username="Zoë Ünal 2, CRM"),
        header(username="x" * 100, nonce="n" * 128),
    ],
)
def test_headers_of_known_clients_are_read(text: str):
    assert wsse.parse(text).created == CREATED


@pytest.mark.parametrize(
    "created, expected",
    [
        ("2026-01-31T09:30:00Z", "09:30:00"),
        ("2026-01-31T10:30:00+01:00", "09:30:00"),
        ("2026-01-31T10:30:00+0100", "09:30:00"),
        ("2026-01-31T04:00:00-0530", "09:30:00"),
        ("2026-01-31T09:30:00.123Z", "09:30:00.123000"),
        ("2026-01-31T09:30:00.123456789+00:00", "09:30:00.123456"),
    ],
)
def test_created_is_read_in_every_iso_form_with_an_offset(created: str, expected: str):
    assert wsse.parse(header(created=created)).created_at.astimezone(UTC).time().isoformat() == expected


@pytest.mark.parametrize(
    "created",
    [
        "2026-01-31 09:30:00Z",
        "2026-01-31T09:30Z",
        "2026-02-30T09:30:00Z",
        "2026-01-31T25:30:00Z",
        "2026-01-31T09:30:00+24:00",
        "12026-01-31T09:30:00Z",
        "20260131T093000Z",
        "２026-01-31T09:30:00Z",
        "2026-01-31T09:30:00Z ",
        "0000-00-00T00:00:00Z",
        "now",
    ],
)
def test_invalid_created_is_refused(created: str):
    with pytest.raises(Unauthorized):
        wsse.parse(header(created=created))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "UsernameToken",
        header() + ",",
        header(between=", ,"),
        header(between=";"),
        header(between=""),
        header(between=" ") + " " + 'Username="anna"',
        header(between=" ").replace("Nonce=", "Username="),
        header() + ", " + 'Username="anna"',
        header() + ", " + header(),  # a server joins a header that is sent twice like this
        header().replace("Nonce=", "Username="),
        header().replace("Nonce=", "username="),
        header().replace("Nonce=", "Other="),
        header().rpartition(",")[0],
        header().replace('"', "'"),
        header(username=""),
        header(username="an\\na"),
        header(username="an\x00na"),
        header(username="an\ud800na"),
        header(username="x" * 101),
        header(nonce="n" * 129),
        header(nonce="nönce"),
        header(nonce=""),
        header(digest="é" * 28),
        header(digest=HEX_DIGEST * 3),
        header(digest="short"),
        header() + " " * 1024 + "x",
        header(between=", " + " " * 400),
    ],
)
def test_headers_of_any_other_form_are_refused(text: str):
    with pytest.raises(Unauthorized):
        wsse.parse(text)


def test_digits_cannot_move_from_the_nonce_to_the_time():
    """The digest is over the joined text, so two headers must never share one."""
    assert wsse.parse(header(nonce="abc1"))
    with pytest.raises(Unauthorized):
        wsse.parse(header(nonce="abc", created="1" + CREATED))
    with pytest.raises(Unauthorized):
        wsse.parse(header(nonce="abc12", created=CREATED[1:]))


@pytest.mark.parametrize("seconds, current", [(0, True), (300, True), (-300, True), (301, False), (-301, False)])
def test_created_may_be_a_window_before_or_after_now(seconds: int, current: bool):
    token = wsse.parse(header())
    assert wsse.is_current(token, token.created_at + timedelta(seconds=seconds), 300, VIENNA) is current


def test_created_without_an_offset_is_in_the_service_zone():
    token = wsse.parse(header(created="2026-01-31T10:30:00"))
    assert token.created_at.tzinfo is None
    assert wsse.is_current(token, datetime(2026, 1, 31, 9, 30, tzinfo=UTC), 1, VIENNA)
    assert not wsse.is_current(token, datetime(2026, 1, 31, 10, 30, tzinfo=UTC), 1, VIENNA)


@pytest.mark.parametrize("hour", [0, 1])
def test_ambiguous_local_time_matches_both_moments(hour: int):
    token = wsse.parse(header(created="2026-10-25T02:30:00"))
    assert wsse.is_current(token, datetime(2026, 10, 25, hour, 30, tzinfo=UTC), 1, VIENNA)


@pytest.mark.parametrize("created", ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"])
def test_ends_of_the_calendar_are_not_current(created: str):
    assert not wsse.is_current(wsse.parse(header(created=created)), datetime(2026, 1, 31, tzinfo=UTC), 300, VIENNA)


printable = st.text(max_size=120)
anything = st.text(max_size=1200) | st.builds(
    header,
    printable,
    printable | st.just(HEX_DIGEST),
    printable | st.just(NONCE),
    printable | st.datetimes().map(str),
)


@given(anything)
def test_any_text_is_read_or_refused(text: str):
    try:
        token = wsse.parse(text)
    except Unauthorized:
        return
    assert not wsse.digest_matches(token, "another secret")
    assert wsse.is_current(token, datetime.now(UTC), 300) in {True, False}


@given(
    st.from_regex(r"[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-9:]{8}(\.[0-9]{1,9})?(Z|[+-][0-9]{2}:?[0-9]{2})", fullmatch=True)
)
def test_any_digits_in_created_are_a_time_or_refused(created: str):
    with contextlib.suppress(Unauthorized):
        assert wsse.parse(header(created=created)).created_at.tzinfo is not None


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=50), st.booleans())
def test_digest_of_any_secret_matches(secret: str, raw: bool):
    sha1 = hashlib.sha1(f"{NONCE}{CREATED}{secret}".encode(), usedforsecurity=False)
    digest = base64.b64encode(sha1.digest() if raw else sha1.hexdigest().encode()).decode()
    assert wsse.digest_matches(wsse.parse(header(digest=digest)), secret)
