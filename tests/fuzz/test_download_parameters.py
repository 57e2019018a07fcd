"""Whatever the offset, limit, range and validators of a download, the answer is bytes of the file or the envelope."""

from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contactexport.exports import run
from tests.fuzz import envelope
from tests.fuzz.fuzz_cases import count, fuzz
from tests.fuzz.request_bodies import LOCAL

VALUES = (
    st.integers(-3, 30).map(str)
    | st.sampled_from(["1000000", "1000001", "9" * 18, "9" * 19, "1e3", "１", " 1", "", "0x1", "1.0"])
    | st.text(max_size=5)
)
PAIRS = st.lists(st.tuples(st.sampled_from(["offset", "limit", "other"]), VALUES), max_size=4)
SEPARATORS = st.sampled_from(["?", "/?", "/"])
HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "Range": st.builds("{}={}-{}".format, st.sampled_from(["bytes", "rows"]), VALUES, VALUES).map(quote)
        | st.sampled_from(
            ["bytes=0-0", "bytes=-1", "bytes=0-1,3-4", "bytes=9-", "bytes=99999-", "bytes=", "bytes=--1"]
        ),
        "If-None-Match": st.sampled_from(["*", '"x"', 'W/"x"', '"', ""]),
        "If-Match": st.sampled_from(["*", '"x"', ""]),
        "If-Range": st.sampled_from(['"x"', "Wed, 21 Oct 2015 07:28:00 GMT", "x"]),
        "If-Modified-Since": st.sampled_from(["Wed, 21 Oct 2115 07:28:00 GMT", "x"]),
        "If-Unmodified-Since": st.sampled_from(["Wed, 21 Oct 2015 07:28:00 GMT", "x"]),
    },
)


@pytest.fixture
def export_ids(api, context):
    """A finished export with ten contacts, and an accepted one."""
    with context.contacts.transaction() as conn, conn.cursor() as cursor:
        cursor.execute(
            "INSERT INTO contact (origin_kind, origin_id, first_name)"
            " SELECT 'form', 123, 'a \"quoted\"' || chr(10) || n FROM generate_series(1, 10) AS n"
        )
    now = datetime.now(UTC)
    window = [str(now - timedelta(hours=1)), str(now + timedelta(hours=1))]
    done, accepted = (
        api.post("/api/v2/contact/getchanges", json=LOCAL | {"time_range": times}).json["data"]["id"]
        for times in (window, LOCAL["time_range"])
    )
    assert run.run(context, done).status == "done"
    return done, accepted


@fuzz(0.08)
@given(pairs=PAIRS, separator=SEPARATORS, headers=HEADERS, finished=st.booleans() | st.just(True))
def test_no_download_is_answered_with_a_5xx(api, export_ids, pairs, separator, headers, finished):
    count()
    query = "&".join(f"{name}={quote(value)}" for name, value in pairs)
    path = f"/api/v2/export/{export_ids[0 if finished else 1]}/data{separator}{query}"
    with api.get(path, headers=headers) as answer:
        envelope.check("GET", answer.status_code, answer.content_type, answer.data)
