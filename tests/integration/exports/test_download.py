"""GET /api/v2/export/<id>/data: whole files with ETag and ranges, slices in three spellings, and all refusals."""

import csv
import io
import os

import pytest

from contactexport.db.queries import queries
from contactexport.exports import cancel, files
from tests.support.exporting import TESTER, add_contact, around_now, by_ftp, execute, request, run, settings_for

CONTACTS = 25


def window(**changes):
    return settings_for(**({"header": True} | around_now() | changes))


@pytest.fixture
def export(context):
    for number in range(CONTACTS):
        add_contact(context, first_name=f'a "quoted"\nname; , {number}')
    return run(context, request(context, window()))


@pytest.fixture
def content(context, export):
    return (context.settings.storage_dir / export.file_name).read_bytes()


def fetch(api, path, **kwargs):
    return api.get(path, buffered=True, **kwargs)


def url(export, rest=""):
    return f"/api/v2/export/{export.id}/data{rest}"


def rows_of(body: bytes):
    return list(csv.reader(io.StringIO(body.decode(), newline=""), delimiter=","))


def test_whole_file_is_sent_with_its_hash_as_etag(api, export, content):
    answer = fetch(api, url(export))
    assert answer.status_code == 200
    assert answer.data == content
    assert answer.headers["ETag"] == f'"{export.sha256}"'
    assert answer.content_length == export.bytes
    assert answer.mimetype == "text/csv"
    assert export.file_name in answer.headers["Content-Disposition"]


def test_range_is_answered_with_that_part_of_the_file(api, export, content):
    answer = fetch(api, url(export), headers={"Range": "bytes=10-19"})
    assert answer.status_code == 206
    assert answer.data == content[10:20]
    assert answer.headers["Content-Range"] == f"bytes 10-19/{len(content)}"


def test_file_that_the_client_already_has_is_not_sent_again(api, export):
    assert fetch(api, url(export), headers={"If-None-Match": f'"{export.sha256}"'}).status_code == 304


SPELLINGS = [
    "?offset={o}&limit={l}",
    "/offset={o}&limit={l}",
    "/?offset={o}&limit={l}",
    "/offset={o}&limit={l}/",
    "?offset={o}&limit={l}/",
    "/?offset={o}&limit={l}/",
]


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize(
    "offset,limit", [(0, 10), (1, 1), (7, 3), (20, 100), (24, 1), (25, 5), (0, 0), (7, 10_000_000), (10**18, 1)]
)
def test_every_page_has_the_header_and_the_requested_contacts(api, export, content, spelling, offset, limit):
    answer = fetch(api, url(export, spelling.format(o=offset, l=limit)))
    assert answer.status_code == 200
    header, *contacts = rows_of(content)
    assert rows_of(answer.data) == [header, *contacts[offset : offset + limit]]
    assert answer.content_length == len(answer.data)


def test_pages_without_their_headers_join_to_the_whole_file(api, export, content):
    header = content[: content.index(b"\n") + 1]
    pages = [fetch(api, url(export, f"?offset={offset}&limit=4")).data for offset in range(0, CONTACTS, 4)]
    assert all(page.startswith(header) for page in pages)
    assert header + b"".join(page.removeprefix(header) for page in pages) == content


@pytest.mark.parametrize("spreadsheet", [False, True])
def test_page_behind_the_last_contact_is_only_the_header(api, context, spreadsheet):
    """Even if the header has a byte order mark, quotes and a line break in a name."""
    execute(context, "UPDATE contact_field SET names = jsonb_build_object('en', E'First \"\n Name')")
    add_contact(context)
    export = run(context, request(context, window(spreadsheet=spreadsheet)))
    whole = fetch(api, url(export)).data
    first, beyond = (fetch(api, url(export, f"?offset={offset}&limit=1")).data for offset in (0, 1))
    assert first == whole
    assert whole.startswith(beyond)
    assert len(list(csv.reader(beyond.decode("utf-8-sig").splitlines(keepends=True)))) == 1


@pytest.mark.parametrize("query", ["?offset=&limit=", "/offset=&limit=", "?limit="])
def test_empty_offset_or_limit_counts_as_missing(api, export, content, query):
    assert fetch(api, url(export, query)).data == content
    assert len(rows_of(fetch(api, url(export, "?offset=2&limit=")).data)) == 1 + CONTACTS - 2


@pytest.mark.parametrize("limit", ["10000000", "10000001", "9" * 30])
def test_limit_above_the_maximum_counts_as_the_maximum(api, export, content, limit):
    assert fetch(api, url(export, f"?offset=0&limit={limit}")).data == content


def test_page_of_file_without_header_begins_with_its_first_contact(api, context):
    for _ in range(3):
        add_contact(context)
    export_id = run(context, request(context, window(header=False))).id
    assert len(rows_of(fetch(api, f"/api/v2/export/{export_id}/data?offset=0&limit=2").data)) == 2
    assert len(rows_of(fetch(api, f"/api/v2/export/{export_id}/data?offset=2").data)) == 1


@pytest.mark.parametrize("query", ["offset=-1", "offset=x", "limit=0x1", "offset=1_0", "limit=1.5"])
def test_invalid_slice_is_refused_with_its_value(api, export, query):
    name, value = query.split("=")
    answer = fetch(api, url(export, f"?{query}"))
    assert (answer.status_code, answer.json["replyCode"]) == (400, 10001)
    assert answer.json["replyText"] == f"Invalid value for {name}: {value}"


def refusal(api, export_id):
    answer = fetch(api, f"/api/v2/export/{export_id}/data")
    assert answer.json["data"] == ""
    return answer.status_code, answer.json["replyCode"], answer.json["replyText"]


def test_download_of_unknown_export_is_refused(api):
    assert refusal(api, 12345) == (400, 10001, "Invalid export ID")


def test_download_of_unfinished_export_is_refused(api, context):
    export_id = request(context, window())
    assert refusal(api, export_id) == (
        404, 4005, "Export is currently in progress. Please wait until that has finished."
    )  # fmt: skip


def test_download_of_ftp_export_is_refused(api, context):
    export_id = request(context, by_ftp(1))
    assert refusal(api, export_id) == (404, 4004, '"distribution_method" of this export is not compatible.')


def test_download_of_cancelled_export_is_refused(api, context):
    export_id = request(context, window())
    cancel.cancel(context, export_id, TESTER)
    assert refusal(api, export_id) == (410, 4003, "Exported data is not available.")


def test_download_of_deleted_file_answers_gone(api, context, export):
    answer = api.delete(f"/api/v2/export/{export.id}")
    assert (answer.status_code, answer.json["data"]["status"]) == (200, "done")
    assert not (context.settings.storage_dir / export.file_name).exists()
    assert refusal(api, export.id) == (410, 4003, "Exported data is not available.")


def test_download_of_lost_file_answers_internal_error(api, context, export):
    (context.settings.storage_dir / export.file_name).unlink()
    assert refusal(api, export.id) == (404, 4006, "Internal error occurred. File was not found.")


def replaced_by_a_link(path):
    path.rename(path.with_name("moved"))
    path.symlink_to("moved")


def replaced_by(make):
    def replace(path):
        path.unlink()
        make(path)

    return replace


DAMAGES = {
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "grown": lambda path: path.write_bytes(path.read_bytes() + b"\n"),
    "link": replaced_by_a_link,
    "folder": replaced_by(lambda path: path.mkdir()),
    "FIFO": replaced_by(os.mkfifo),
    "gone": lambda path: path.unlink(),
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize(("rest", "headers"), [("", {}), ("", {"Range": "bytes=0-9"}), ("/offset=0&limit=3", {})])
def test_damaged_file_is_logged_and_not_served(api, context, export, caplog, damage, rest, headers):
    DAMAGES[damage](context.settings.storage_dir / export.file_name)
    answer = fetch(api, url(export, rest), headers=headers)
    assert (answer.status_code, answer.json["replyCode"]) == (404, 4006)
    (told,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert export.file_name in told.getMessage()
    assert f"{export.bytes} bytes expected" in told.getMessage() or damage == "gone"


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_file_can_be_counted_and_deleted(api, context, export, damage):
    DAMAGES[damage](context.settings.storage_dir / export.file_name)
    assert files.disk_use(context)[0] == (damage != "gone")
    assert api.delete(f"/api/v2/export/{export.id}").status_code == 200


def test_file_that_the_retention_is_just_deleting_is_no_error(api, context, export, caplog):
    (context.settings.storage_dir / export.file_name).unlink()
    execute(
        context,
        "UPDATE export SET finished_at = finished_at - make_interval(secs => %s)",
        (context.settings.retention,),
    )
    assert refusal(api, export.id) == (410, 4003, "Exported data is not available.")
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


def test_row_index_is_stored_with_the_export_and_deleted_with_its_file(context, export):
    with context.database.transaction() as conn:
        assert queries("export").row_marks(conn, id=export.id) is not None
    cancel.cancel(context, export.id, TESTER)
    with context.database.transaction() as conn:
        assert queries("export").row_marks(conn, id=export.id) is None


@pytest.mark.parametrize(
    "sent",
    ["items=0-3", "lines=1-2", "bytes=5-2", "bytes=a-b", "bytes=-", "bytes", "0-3", "bytes=0-3,7-9", "bytes=0-3;7"],
)
def test_range_of_other_unit_or_form_is_ignored(api, export, content, sent):
    """RFC 9110, 14.2: an unknown unit must be ignored. Malformed and several ranges may be."""
    answer = fetch(api, url(export), headers={"Range": sent})
    assert (answer.status_code, answer.data) == (200, content)
    assert "Content-Range" not in answer.headers


@pytest.mark.parametrize(
    "sent,first,last", [("bytes=0-3", 0, 3), ("Bytes=7-", 7, -1), ("bytes=-5", -5, -1), (f"bytes=0-{'9' * 20}", 0, -1)]
)
def test_single_range_of_bytes_is_answered(api, export, content, sent, first, last):
    answer = fetch(api, url(export), headers={"Range": sent})
    assert (answer.status_code, answer.data) == (206, content[first:][: last + 1 or None])


@pytest.mark.parametrize("sent", [f"bytes={10**9}-", f"bytes={'9' * 30}-", "bytes=-0"])
def test_range_beyond_the_file_is_refused(api, export, content, sent):
    answer = fetch(api, url(export), headers={"Range": sent})
    assert answer.status_code == 416
    assert answer.headers["Content-Range"] == f"bytes */{len(content)}"


def test_range_is_ignored_except_for_get(api, export, content):
    answer = api.head(url(export), headers={"Range": "bytes=0-3"}, buffered=True)
    assert (answer.status_code, answer.content_length) == (200, len(content))


@pytest.mark.parametrize(
    "path,headers",
    [
        ("", {}),
        ("", {"Range": "bytes=0-3"}),
        ("", {"Range": "bytes=999999-"}),
        ("", {"If-None-Match": "*"}),
        ("", {"If-Match": '"another"'}),
        ("?offset=1&limit=2", {}),
        ("?offset=x&limit=2", {}),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_ended_downloads_do_not_count_towards_the_limit(api, context, export, method, path, headers):
    for _ in range(context.settings.downloads_per_user + 1):
        answer = api.open(url(export, path), method=method, headers=headers, buffered=True)
        assert answer.status_code != 429


@pytest.mark.parametrize("path", ["", "?offset=1&limit=2"])
@pytest.mark.parametrize("headers", [{}, {"Range": "bytes=0-3"}])
def test_download_beyond_the_limit_of_a_user_answers_429(api, context, export, path, headers):
    most = context.settings.downloads_per_user
    running = [api.get(url(export, path), headers=headers) for _ in range(most)]
    refused = fetch(api, url(export, path))
    assert refused.status_code == 429
    assert refused.json == {
        "replyCode": 1, "replyText": f"{most} downloads of this user are running, which is the limit", "data": "",
    }  # fmt: skip
    assert int(refused.headers["Retry-After"]) > 0
    assert api.get(f"/api/v2/export/{export.id}").status_code == 200
    running[0].close()
    assert fetch(api, url(export, path)).status_code == 200
    for one in running:
        one.close()
