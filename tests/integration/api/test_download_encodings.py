"""Downloads in gzip, and redirects to a signed URL of the object store."""

import functools
import gzip

import pytest
import requests

from contactexport.context import Context
from contactexport.errors import StorageUnfit
from tests.support.exporting import contact_changed, context_with, deliver, request, run, settings_for

GZIP = {"Accept-Encoding": "gzip, deflate"}


@pytest.fixture(autouse=True)
def _buffered(api, monkeypatch: pytest.MonkeyPatch):
    """Each answer is read and closed at once."""
    monkeypatch.setattr(api, "open", functools.partial(api.open, buffered=True))


@pytest.fixture
def stored(context: Context):
    for number in range(300):
        contact_changed(context, first_name=f"Anna {number}")
    return run(context, request(context, settings_for(header=True)))


@pytest.fixture
def content(context: Context, stored) -> bytes:
    return deliver.stored_file(context, stored).read_bytes()


def test_download_is_compressed_if_the_client_asks(api, stored, content):
    answer = api.get(f"/api/v2/export/{stored.id}/data", headers=GZIP)
    assert gzip.decompress(answer.data) == content
    assert len(answer.data) < len(content) / 2
    assert (answer.headers["Content-Encoding"], answer.headers["Vary"]) == ("gzip", "Accept-Encoding")
    assert answer.headers["Accept-Ranges"] == "none"
    assert "Content-Length" not in answer.headers
    plain = api.get(f"/api/v2/export/{stored.id}/data")
    assert (plain.data, plain.headers["Vary"]) == (content, "Accept-Encoding")
    assert (plain.headers["Accept-Ranges"], plain.content_length) == ("bytes", len(content))
    assert plain.get_etag() == (stored.sha256, False)
    assert answer.get_etag() == (f"{stored.sha256}-gzip", False)


@pytest.mark.parametrize(
    "accepted", ["", "identity", "gzip;q=0", "br", "*", "identity, gzip;q=0.5", "gzip;q=0, identity", "gzip;q=x, br"]
)
def test_download_is_plain_if_the_client_does_not_prefer_gzip(api, stored, content, accepted: str):
    answer = api.get(f"/api/v2/export/{stored.id}/data", headers={"Accept-Encoding": accepted})
    assert "Content-Encoding" not in answer.headers
    assert answer.data == content


def test_range_is_never_compressed(api, stored, content):
    """Its offsets count in the plain file. An ETag of the other representation does not fit."""
    path = f"/api/v2/export/{stored.id}/data"
    answer = api.get(path, headers=GZIP | {"Range": "bytes=10-19"})
    assert (answer.status_code, answer.data) == (206, content[10:20])
    assert "Content-Encoding" not in answer.headers
    other = api.get(path, headers=GZIP | {"Range": "bytes=10-19", "If-Range": f'"{stored.sha256}-gzip"'})
    assert (other.status_code, other.data) == (200, content)
    last = api.get(path, headers=GZIP | {"Range": "bytes=-5", "If-Range": f'"{stored.sha256}"'})
    assert (last.status_code, last.data) == (206, content[-5:])


def test_unchanged_file_is_not_sent_again_in_either_form(api, stored):
    path = f"/api/v2/export/{stored.id}/data"
    for headers in ({}, GZIP):
        etag = api.get(path, headers=headers).headers["ETag"]
        assert api.get(path, headers=headers | {"If-None-Match": etag}).status_code == 304
        assert api.head(path, headers=headers).headers["ETag"] == etag


def test_page_is_compressed(api, stored, content):
    answer = api.get(f"/api/v2/export/{stored.id}/data?offset=1&limit=2", headers=GZIP)
    lines = content.splitlines(keepends=True)
    assert gzip.decompress(answer.data) == lines[0] + lines[2] + lines[3]


@pytest.fixture
def in_store(in_s3: Context, app, api):
    """An export in S3, and the server that answers for it."""
    for number in range(300):
        contact_changed(in_s3, first_name=f"Anna {number}")
    app.extensions["contactexport"] = in_s3
    return run(in_s3, request(in_s3, settings_for(header=True)))


def test_object_is_served_whole_in_ranges_in_pages_and_in_gzip(api, in_s3: Context, in_store):
    path = f"/api/v2/export/{in_store.id}/data"
    with in_s3.storage.open_finished(in_store.stored_name, in_store.bytes) as file:
        content = file.read()
    assert in_store.stored_name == f"{in_store.file_name}.1"
    whole = api.get(path)
    assert (whole.data, whole.get_etag()[0]) == (content, in_store.sha256)
    assert in_store.file_name in whole.headers["Content-Disposition"]
    assert api.get(path, headers={"Range": "bytes=100-199"}).data == content[100:200]
    assert api.get(path, headers={"Range": "bytes=-1"}).data == content[-1:]
    assert api.get(path, headers={"Range": f"bytes={len(content)}-"}).status_code == 416
    lines = content.splitlines(keepends=True)
    assert api.get(f"{path}/offset=298&limit=10").data == lines[0] + b"".join(lines[299:])
    assert gzip.decompress(api.get(path, headers=GZIP).data) == content


def test_whole_download_is_redirected_to_a_url_of_the_store(api, app, in_s3: Context, in_store):
    path = f"/api/v2/export/{in_store.id}/data"
    content = api.get(path).data
    app.extensions["contactexport"] = context_with(in_s3, download_redirect=True)
    answer = api.get(path)
    assert (answer.status_code, answer.headers["Cache-Control"]) == (302, "no-store")
    assert "X-Amz-Expires=60" in answer.location
    got = requests.get(answer.location, timeout=30)
    assert (got.content, got.headers["Content-Type"]) == (content, "text/csv; charset=utf-8")
    assert in_store.file_name in got.headers["Content-Disposition"]
    ranged = api.get(path, headers={"Range": "bytes=5-9"})
    assert ranged.status_code == 302
    assert requests.get(ranged.location, headers={"Range": "bytes=5-9"}, timeout=30).content == content[5:10]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"If-Match": '"{}"'}, 200),
        ({"If-Match": '"other"'}, 412),
        ({"If-None-Match": '"{}"'}, 304),
        ({"If-Range": '"{}"', "Range": "bytes=0-4"}, 206),
        ({"Range": "bytes=999999999-"}, 416),
    ],
)
def test_conditions_are_met_by_this_server(api, app, in_s3: Context, in_store, headers: dict[str, str], status: int):
    """The store has another ETag."""
    app.extensions["contactexport"] = context_with(in_s3, download_redirect=True)
    sent = {name: value.replace("{}", in_store.sha256) for name, value in headers.items()}
    assert api.get(f"/api/v2/export/{in_store.id}/data", headers=sent).status_code == status
    assert api.head(f"/api/v2/export/{in_store.id}/data").status_code == 200
    assert api.get(f"/api/v2/export/{in_store.id}/data?offset=0&limit=1").status_code == 200


def test_download_goes_through_the_server_if_the_store_cannot_sign(
    api, app, in_s3: Context, in_store, monkeypatch: pytest.MonkeyPatch
):
    """As with a token of Azure, which signs nothing."""

    def refuse(*_: object) -> str:
        raise StorageUnfit("The object store does not answer", "unavailable")

    app.extensions["contactexport"] = redirecting = context_with(in_s3, download_redirect=True)
    monkeypatch.setattr(redirecting.storage, "signed_url", refuse)
    answer = api.get(f"/api/v2/export/{in_store.id}/data")
    assert (answer.status_code, len(answer.data)) == (200, in_store.bytes)
