"""When and for how long a delivery is retried, and what the status shows of it. The database stores due times."""

import json
from pathlib import Path

import pytest

from contactexport.context import Context
from contactexport.errors import HostRefused
from contactexport.exports import run as run_export
from contactexport.exports import status as export_status
from contactexport.exports import sweep
from tests.support.exporting import (
    PASSWORD,
    TESTER,
    context_with,
    execute,
    lose_messages,
    make_due,
    row_of,
    run,
    seconds_until_due,
)
from tests.support.ftp_hosts import RefusesUploads, files, free_port, host_is_back, is_whole, large_export, serving


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    return tmp_path / "inbox"


def minutes_until_due(context: Context, export_id: int) -> int:
    return round(seconds_until_due(context, export_id) / 60)


def test_delivery_is_retried_after_1_5_15_and_60_minutes_and_then_hourly(context: Context, inbox: Path):
    export_id = large_export(context, free_port())
    waits = []
    for _ in range(6):
        waiting = run(context, export_id)
        waits.append(minutes_until_due(context, export_id))
        assert run_export.run(context, export_id) is None, "not due"
        make_due(context, export_id)
    assert waits == [1, 5, 15, 60, 60, 60]
    with serving(inbox) as (port, _told):
        host_is_back(context, waiting, port)
        done = run(context, export_id)
    assert (done.status, done.attempt) == ("done", 7)
    assert files(inbox) == [f"in/{done.file_name}"]
    assert is_whole(inbox / "in" / done.file_name, done)


def test_due_time_of_retry_survives_restarts(context: Context, inbox: Path):
    export_id = large_export(context, free_port())
    waiting = run(context, export_id)
    after_restart = context_with(context, data_dir=context.settings.data_dir)
    lose_messages(context)
    assert sweep.sweep(after_restart) == 0
    assert run_export.run(after_restart, export_id) is None
    with serving(inbox) as (port, _told):
        host_is_back(after_restart, waiting, port)
        assert sweep.sweep(after_restart) == 1
        assert run(after_restart, export_id).status == "done"
    after_restart.database.close()


def test_only_permanent_failures_count_towards_three_attempts(context: Context, inbox: Path):
    export_id = large_export(context, free_port())
    for _ in range(4):
        waiting = run(context, export_id)
        make_due(context, export_id)
    with serving(inbox, RefusesUploads, answer="553 Name not allowed.") as (port, _told):
        host_is_back(context, waiting, port)
        for status in ("ready", "ready", "error"):
            tried = run(context, export_id)
            assert tried.status == status
            if status == "ready":
                make_due(context, export_id)
    replies = [one["reply"] for one in export_status.status(context, export_id, TESTER)["delivery"]]
    assert replies == ["FTP host: Connection refused"] * 4 + ["FTP host: 553 Name not allowed."] * 3


@pytest.mark.parametrize("limit,expected", [(86400, "ready"), (3600, "error")])
def test_delivery_limit_ends_export_in_error(context: Context, limit: int, expected: str):
    limited = context_with(context, delivery_limit=limit)
    export_id = large_export(limited, free_port())
    run(limited, export_id)
    execute(context, "UPDATE export SET ready_at = ready_at - interval '2 hours'")
    make_due(context, export_id)
    assert run(limited, export_id).status == expected


def test_host_refused_by_network_guard_is_tried_three_times(context: Context, caplog):
    guarded = context_with(context, allowed_hosts=())
    with pytest.raises(HostRefused):
        guarded.guard.resolve("127.0.0.1", 21)
    export_id = large_export(guarded, 21)
    for status in ("ready", "ready", "error"):
        assert run(guarded, export_id).status == status
        if status == "ready":
            make_due(context, export_id)


def test_status_shows_each_delivery_attempt_and_its_reply(api, context: Context, inbox: Path, caplog):
    export_id = large_export(context, free_port())
    with caplog.at_level("INFO"):
        waiting = run(context, export_id)
        with serving(inbox) as (port, _told):
            host_is_back(context, waiting, port)
            run(context, export_id)
    told = api.get(f"/api/v2/export/{export_id}").json["data"]
    assert [(one["attempt"], one["reply"]) for one in told["delivery"]] == [
        (1, "FTP host: Connection refused"),
        (2, "250 Renaming ok."),
    ]
    assert told["delivery"][0]["at"] < told["delivery"][1]["at"]
    assert told["attempts"] == 2
    logged = [json.loads(one.getMessage()) for one in caplog.records if one.name == "contactexport.audit"]
    assert [
        one.get("error") or one.get("reply") for one in logged if one["event"] in {"delivery failed", "export done"}
    ] == [
        "FTP host: Connection refused",
        "250 Renaming ok.",
    ]


def test_status_shows_the_last_50_delivery_attempts(context: Context):
    export_id = large_export(context, free_port())
    run(context, export_id)
    execute(
        context,
        "UPDATE export SET attempt = 60, deliveries ="
        " (SELECT jsonb_agg(jsonb_build_object('attempt', n, 'at', clock_timestamp(), 'reply', 'x') ORDER BY n)"
        " FROM generate_series(11, 60) AS n)",
    )
    make_due(context, export_id)
    run(context, export_id)
    attempts = [one["attempt"] for one in export_status.status(context, export_id, TESTER)["delivery"]]
    assert attempts == list(range(12, 62))


def test_retry_command_delivers_same_file_with_new_credentials(
    context: Context, runner, inbox: Path, monkeypatch: pytest.MonkeyPatch
):
    with serving(inbox) as (port, _told):
        export_id = large_export(context, port, username="stranger")
        for _ in range(3):
            make_due(context, export_id)
            failed = run(context, export_id)
        assert (failed.status, failed.error) == ("error", "FTP host: 530 Authentication failed.")
        execute(context, "UPDATE contact SET first_name = 'changed since'")
        execute(context, "UPDATE contact_change SET changed_at = '2012-03-01'")
        monkeypatch.setenv("FTP_PASSWORD", PASSWORD)
        result = runner.invoke(args=["export", "retry", str(export_id), "--username", "user"])
        assert result.exit_code == 0, result.output
        done = run(context, export_id)
    assert (done.status, done.sha256, done.attempt) == ("done", failed.sha256, 4)
    assert files(inbox) == [f"in/{done.file_name}"]
    assert is_whole(inbox / "in" / done.file_name, done)
    assert row_of(context, export_id)["ftp_secret"] is None
