"""X-Request-ID: taken if it is well-formed, else made, sent back with every answer, and stored with the export."""

import json
import re

import pytest

from contactexport import log_context
from contactexport.context import Context
from contactexport.exports import notify
from tests.support.exporting import REQUIRED_ONLY, contact_changed, execute, request, row_of, run, settings_for
from tests.support.notification_receiver import receiver

GETCHANGES = "/api/v2/contact/getchanges"
MADE = re.compile("[0-9a-f]{32}")
GOOD = ["7b3f", "0f8fad5b-d9cb-469f-a165-70867728950e", "Root=1-67891233-abcdef012345678912345678", "a" * 128]
HOSTILE = ["a b", "a" * 129, "a" * 10_000, "\x1b[31mred", "a\tb", "a;b", '"a"', "-a", "ä", "a,b", "<script>", "{}"]


@pytest.mark.parametrize("sent", GOOD)
def test_well_formed_id_is_taken(api, sent: str):
    assert api.get("/api/v2/export", headers={"X-Request-ID": sent}).headers["X-Request-ID"] == sent


@pytest.mark.parametrize("sent", HOSTILE)
def test_any_other_id_is_replaced(api, caplog, sent: str):
    caplog.set_level("INFO", "contactexport.audit")
    answer = api.get("/api/v2/export", headers={"X-Request-ID": sent})
    assert answer.status_code == 200
    assert MADE.fullmatch(answer.headers["X-Request-ID"])
    assert sent not in caplog.text


def test_newline_never_gets_into_an_id():
    for sent in ("a\nb", "a\r\nSet-Cookie: b", "a\n", "\n"):
        assert MADE.fullmatch(log_context.begin(sent))


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/nowhere", "/api/v2/nowhere", "/api/v3/export", "/metrics"])
def test_every_answer_has_an_id_of_its_own(client, path: str):
    ids = {client.get(path).headers["X-Request-ID"] for _ in range(3)}
    assert len(ids) == 3
    assert all(MADE.fullmatch(one) for one in ids)


def test_answer_about_a_fault_of_ours_has_the_id_that_its_log_has(app, api, caplog, monkeypatch):
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("planted")

    monkeypatch.setattr("contactexport.exports.status.newest", fail)
    answer = api.get("/api/v2/export", headers={"X-Request-ID": "fault-1"})
    assert (answer.status_code, answer.headers["X-Request-ID"]) == (500, "fault-1")
    assert "planted" in caplog.text


def test_id_goes_with_the_export_to_the_last_line_of_its_worker(api, context: Context, caplog):
    contact_changed(context)
    caplog.set_level("INFO", "contactexport.audit")
    with receiver() as there:
        body = REQUIRED_ONLY | {"notification_url": there.url()}
        export_id = api.post(GETCHANGES, json=body, headers={"X-Request-ID": "way-1"}).json["data"]["id"]
        assert row_of(context, export_id)["request_id"] == "way-1"
        log_context.begin()  # a worker knows nothing of the request
        run(context, export_id)
        notify.notify(context, export_id)
    told = [json.loads(record.message) for record in caplog.records if record.name == "contactexport.audit"]
    of_request = [one["event"] for one in told if one.get("request_id") == "way-1"]
    expected = ["export accepted", "request", "export claimed", "file written", "export done", "notification sent"]
    assert of_request == expected
    assert there.received[0].headers["X-Request-ID"] == "way-1"


def test_export_without_an_id_runs(context: Context):
    """One that an older server has accepted."""
    contact_changed(context)
    export_id = request(context, settings_for())
    execute(context, "UPDATE export SET request_id = NULL")
    assert run(context, export_id).status == "done"
