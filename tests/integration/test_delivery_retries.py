"""When a delivery is tried again, for how long, and what the status tells of it; due times stand in the database."""

import json
from pathlib import Path

import pytest
from exporting import PASSWORD, TESTER, backend_with, execute, lose_messages, make_due, row_of, run, seconds_until_due
from ftp_hosts import RefusesUploads, files, free_port, host_is_back, is_whole, large_export, serving

from contactexport.backend import Backend
from contactexport.errors import HostRefused
from contactexport.services import run_export, sweep_exports, track_export


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    return tmp_path / "inbox"


def minutes_until_due(backend: Backend, export_id: int) -> int:
    return round(seconds_until_due(backend, export_id) / 60)


def test_a_host_that_is_down_is_tried_after_1_5_15_and_60_minutes_and_then_hourly_until_it_comes_up(
    backend: Backend, inbox: Path
):
    export_id = large_export(backend, free_port())
    waits = []
    for _ in range(6):
        waiting = run(backend, export_id)
        waits.append(minutes_until_due(backend, export_id))
        assert run_export.run(backend, export_id) is None, "not due"
        make_due(backend, export_id)
    assert waits == [1, 5, 15, 60, 60, 60]
    with serving(inbox) as (port, _told):
        host_is_back(backend, waiting, port)
        done = run(backend, export_id)
    assert (done.status, done.attempt) == ("done", 7)
    assert files(inbox) == [f"in/{done.file_name}"]
    assert is_whole(inbox / "in" / done.file_name, done)


def test_whoever_restarts_the_due_time_stands_in_the_database(backend: Backend, inbox: Path):
    export_id = large_export(backend, free_port())
    waiting = run(backend, export_id)
    after_restart = backend_with(backend, data_dir=backend.settings.data_dir)
    lose_messages(backend)
    assert sweep_exports.sweep(after_restart) == 0
    assert run_export.run(after_restart, export_id) is None
    with serving(inbox) as (port, _told):
        host_is_back(after_restart, waiting, port)
        assert sweep_exports.sweep(after_restart) == 1
        assert run(after_restart, export_id).status == "done"
    after_restart.database.close()


def test_only_permanent_failures_count_towards_three(backend: Backend, inbox: Path):
    export_id = large_export(backend, free_port())
    for _ in range(4):
        waiting = run(backend, export_id)
        make_due(backend, export_id)
    with serving(inbox, RefusesUploads, answer="553 Name not allowed.") as (port, _told):
        host_is_back(backend, waiting, port)
        for status in ("ready", "ready", "error"):
            tried = run(backend, export_id)
            assert tried.status == status
            if status == "ready":
                make_due(backend, export_id)
    replies = [one["reply"] for one in track_export.status(backend, export_id, TESTER)["delivery"]]
    assert replies == ["FTP host: Connection refused"] * 4 + ["FTP host: 553 Name not allowed."] * 3


@pytest.mark.parametrize("limit,expected", [(86400, "ready"), (3600, "error")])
def test_the_limit_ends_it(backend: Backend, limit: int, expected: str):
    limited = backend_with(backend, delivery_limit=limit)
    export_id = large_export(limited, free_port())
    run(limited, export_id)
    execute(backend, "UPDATE export SET ready_at = ready_at - interval '2 hours'")
    make_due(backend, export_id)
    assert run(limited, export_id).status == expected


def test_a_host_refused_by_the_guard_is_tried_three_times(backend: Backend, caplog):
    guarded = backend_with(backend, allowed_hosts=())
    with pytest.raises(HostRefused):
        guarded.guard.resolve("127.0.0.1", 21)
    export_id = large_export(guarded, 21)
    for status in ("ready", "ready", "error"):
        assert run(guarded, export_id).status == status
        if status == "ready":
            make_due(backend, export_id)


def test_the_status_tells_each_attempt_and_its_reply(api, backend: Backend, inbox: Path, caplog):
    export_id = large_export(backend, free_port())
    with caplog.at_level("INFO"):
        waiting = run(backend, export_id)
        with serving(inbox) as (port, _told):
            host_is_back(backend, waiting, port)
            run(backend, export_id)
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


def test_the_status_keeps_the_last_50_attempts(backend: Backend):
    export_id = large_export(backend, free_port())
    run(backend, export_id)
    execute(
        backend,
        "UPDATE export SET attempt = 60, deliveries ="
        " (SELECT jsonb_agg(jsonb_build_object('attempt', n, 'at', clock_timestamp(), 'reply', 'x') ORDER BY n)"
        " FROM generate_series(11, 60) AS n)",
    )
    make_due(backend, export_id)
    run(backend, export_id)
    attempts = [one["attempt"] for one in track_export.status(backend, export_id, TESTER)["delivery"]]
    assert attempts == list(range(12, 62))


def test_flask_export_retry_delivers_the_same_file_with_new_credentials(
    backend: Backend, runner, inbox: Path, monkeypatch: pytest.MonkeyPatch
):
    with serving(inbox) as (port, _told):
        export_id = large_export(backend, port, username="stranger")
        for _ in range(3):
            make_due(backend, export_id)
            failed = run(backend, export_id)
        assert (failed.status, failed.error) == ("error", "FTP host: 530 Authentication failed.")
        execute(backend, "UPDATE contact SET first_name = 'changed since'")
        execute(backend, "UPDATE contact_change SET changed_at = '2012-03-01'")
        monkeypatch.setenv("FTP_PASSWORD", PASSWORD)
        result = runner.invoke(args=["export", "retry", str(export_id), "--username", "user"])
        assert result.exit_code == 0, result.output
        done = run(backend, export_id)
    assert (done.status, done.sha256, done.attempt) == ("done", failed.sha256, 4)
    assert files(inbox) == [f"in/{done.file_name}"]
    assert is_whole(inbox / "in" / done.file_name, done)
    assert row_of(backend, export_id)["ftp_secret"] is None
