"""Readiness names each part. An outage affects requests and runs as promised."""

from pathlib import Path

import pytest

from contactexport import readiness
from contactexport.context import Context
from contactexport.errors import DatabaseUnavailable
from contactexport.exports import run, sweep
from contactexport.queue.publisher import RUN_EXPORT
from tests.support.exporting import context_with, execute, request, settings_for

NO_DATABASE = "postgresql://root:geheim@127.0.0.1:1/none"
NO_BROKER = "amqp://user:geheim@127.0.0.1:1//"


def test_service_is_ready_with_all_parts(context: Context):
    assert readiness.check(context) == {"database": "ok", "storage": "ok", "broker": "ok"}
    assert readiness.check(context_with(context, contacts_database_url=context.database.url)) == {
        "database": "ok", "contacts database": "ok", "storage": "ok", "broker": "ok",
    }  # fmt: skip


def test_unreachable_database_is_named(context: Context, caplog: pytest.LogCaptureFixture):
    assert readiness.check(context_with(context, database_url=NO_DATABASE)) == {
        "database": "unavailable", "storage": "unavailable", "broker": "ok",
    }  # fmt: skip
    assert readiness.check(context_with(context, contacts_database_url=NO_DATABASE)) == {
        "database": "ok", "contacts database": "unavailable", "storage": "ok", "broker": "ok",
    }  # fmt: skip
    assert "not ready: database: " in caplog.text
    assert "geheim" not in caplog.text


def test_wrong_schema_is_not_ready(context: Context, caplog: pytest.LogCaptureFixture):
    execute(context, "UPDATE contactexport_version SET version_num = '9999'")
    assert readiness.check(context)["database"] == "unavailable"
    assert "newer than this program" in caplog.text


def test_unreachable_broker_is_named_and_refuses_no_request(context: Context, caplog: pytest.LogCaptureFixture):
    without = context_with(context, broker_url=NO_BROKER)
    assert readiness.check(without) == {"database": "ok", "storage": "ok", "broker": "unavailable"}
    export_id = request(without, settings_for())
    assert sweep.sweep(context) == 1
    assert run.run(context, export_id).status == "done"
    assert "geheim" not in caplog.text


def test_impossible_message_folders_count_as_unreachable_broker(context: Context, tmp_path: Path):
    (tmp_path / "file").touch()
    without = context_with(context, data_dir=tmp_path / "file" / "data")
    assert readiness.check(without)["broker"] == "unavailable"


def test_folders_named_by_url_are_broker(context: Context, tmp_path: Path):
    named = context_with(context, data_dir=tmp_path / "other", broker_url="filesystem://localhost")
    assert readiness.check(named)["broker"] == "ok"
    assert named.queue.publish(RUN_EXPORT)


@pytest.mark.parametrize(
    "act", [lambda dark: request(dark, settings_for()), sweep.sweep, lambda dark: run.run(dark, 1)]
)
def test_calls_fail_without_database(context: Context, act):
    with pytest.raises(DatabaseUnavailable, match=r"^The database does not answer: ") as outage:
        act(context_with(context, database_url=NO_DATABASE))
    assert "geheim" not in outage.value.text
    assert len(outage.value.text.splitlines()) == 1
