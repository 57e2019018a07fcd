"""GET /api/v2/export and /api/v2/export/<id>: the status of exports."""

import pytest

from contactexport.api.response_schemas import Status
from tests.support.exporting import by_ftp, request, run, settings_for

WRONG_IDS = [
    "0",
    "-1",
    "x",
    "1.0",
    "1_0",
    "+1",
    "%D9%A1",
    "9" * 18,
    "9" * 19,
    "9" * 20,
    "9" * 4000,
    "1%00",
    "1;a",
    " 1",
]


def data(api, path):
    answer = api.get(f"/api/v2/export{path}")
    assert (answer.status_code, answer.json["replyCode"]) == (200, 0), answer.json
    return answer.json["data"]


def refusal(api, path):
    answer = api.get(f"/api/v2/export{path}")
    assert (answer.status_code, answer.json["replyCode"], answer.json["data"]) == (400, 10001, "")
    return answer.json["replyText"]


def test_accepted_export_is_scheduled(api, context):
    shown = data(api, f"/{request(context, settings_for())}")
    assert list(shown) == [name for name, field in Status._declared_fields.items() if field.required]
    assert (shown["status"], shown["type"], shown["attempts"]) == ("scheduled", "changes", 0)
    assert shown["time_range"] == ["2012-02-09T00:00:00+00:00", "2012-04-02T00:00:00+00:00"]
    unknown_yet = ("file_name", "rows", "rows_expected", "bytes", "sha256", "effective_until", "error")
    assert [shown[key] for key in unknown_yet] == [None] * len(unknown_yet)


def test_done_export_names_its_file(api, context):
    export = run(context, request(context, settings_for()))
    shown = data(api, f"/{export.id}")
    assert (shown["id"], shown["status"], shown["file_name"]) == (str(export.id), "done", export.file_name)
    assert (shown["rows"], shown["bytes"], shown["sha256"]) == (0, export.bytes, export.sha256)


def test_ftp_export_names_host_and_folder_without_password(api, context):
    export_id = request(context, by_ftp(2121), "geheim")
    shown = data(api, f"/{export_id}")
    assert (shown["ftp_host"], shown["ftp_dir"]) == ("127.0.0.1", "path/of/a/folder")
    assert "geheim" not in api.get(f"/api/v2/export/{export_id}").text


@pytest.mark.parametrize("export_id", WRONG_IDS)
def test_invalid_export_id_is_refused(api, export_id):
    assert refusal(api, f"/{export_id}") == "Invalid export ID"
    deleted = api.delete(f"/api/v2/export/{export_id}")
    assert (deleted.status_code, deleted.json["replyText"]) == (400, "Invalid export ID")


def test_newest_exports_come_first_page_by_page(api, context):
    ids = [request(context, settings_for(contact_fields=(field,))) for field in (1, 2, 3)]
    assert [int(export["id"]) for export in data(api, "")] == ids[::-1]
    assert [int(export["id"]) for export in data(api, "?limit=2")] == [ids[2], ids[1]]
    assert [int(export["id"]) for export in data(api, f"?limit=2&before={ids[1]}")] == [ids[0]]


def test_list_filters_by_status(api, context):
    done = run(context, request(context, settings_for(contact_fields=(1,))))
    request(context, settings_for(contact_fields=(2,)))
    assert [int(export["id"]) for export in data(api, "?status=done")] == [done.id]
    assert data(api, "?status=error") == []


@pytest.mark.parametrize(
    "query, text",
    [
        ("status=finished", "Invalid value for status: finished"),
        ("status=", "Invalid value for status: "),
        ("limit=0", "Invalid value for limit: 0"),
        ("limit=1001", "Invalid value for limit: 1001"),
        ("limit=x", "Invalid value for limit: x"),
        ("limit=-1", "Invalid value for limit: -1"),
        ("before=0", "Invalid value for before: 0"),
        ("before=1_0", "Invalid value for before: 1_0"),
    ],
)
def test_other_filters_are_refused(api, query, text):
    assert refusal(api, f"?{query}") == text


def test_cancel_answers_final_status(api, context):
    export_id = request(context, settings_for())
    answer = api.delete(f"/api/v2/export/{export_id}")
    assert (answer.status_code, answer.json["data"]["status"], answer.json["data"]["error"]) == (
        200,
        "error",
        "cancelled",
    )


def test_callers_without_credentials_get_401(client, context):
    export_id = request(context, settings_for())
    for method, path in (
        ("GET", ""),
        ("GET", f"/{export_id}"),
        ("DELETE", f"/{export_id}"),
        ("GET", f"/{export_id}/data"),
    ):
        assert client.open(f"/api/v2/export{path}", method=method).status_code == 401


def test_download_with_other_etag_is_412_without_file(api, context):
    export = run(context, request(context, settings_for(header=True)))
    url = f"/api/v2/export/{export.id}/data"
    answer = api.get(url, headers={"If-Match": '"other"'}, buffered=True)
    assert (answer.status_code, answer.json["replyText"]) == (412, "Precondition failed")
    assert api.get(url, headers={"If-Match": f'"{export.sha256}"'}, buffered=True).status_code == 200
