"""Readiness: each part by name, and what an outage does to requests and runs."""

from pathlib import Path

import pytest
from exporting import backend_with, execute, request, settings_for

from contactexport.backend import Backend
from contactexport.errors import DatabaseUnavailable
from contactexport.services import check_readiness, run_export, sweep_exports

NO_DATABASE = "postgresql://root:geheim@127.0.0.1:1/none"
NO_BROKER = "amqp://user:geheim@127.0.0.1:1//"


def test_everything_is_there(backend: Backend):
    assert check_readiness.check(backend) == {"database": "ok", "storage": "ok", "broker": "ok"}
    assert check_readiness.check(backend_with(backend, contacts_database_url=backend.database.url)) == {
        "database": "ok", "contacts database": "ok", "storage": "ok", "broker": "ok",
    }  # fmt: skip


def test_a_database_that_is_down_is_named(backend: Backend, caplog: pytest.LogCaptureFixture):
    assert check_readiness.check(backend_with(backend, database_url=NO_DATABASE)) == {
        "database": "unavailable", "storage": "unavailable", "broker": "ok",
    }  # fmt: skip
    assert check_readiness.check(backend_with(backend, contacts_database_url=NO_DATABASE)) == {
        "database": "ok", "contacts database": "unavailable", "storage": "ok", "broker": "ok",
    }  # fmt: skip
    assert "not ready: database: " in caplog.text
    assert "geheim" not in caplog.text


def test_a_schema_that_does_not_fit_is_not_ready(backend: Backend, caplog: pytest.LogCaptureFixture):
    execute(backend, "UPDATE contactexport_version SET version_num = '9999'")
    assert check_readiness.check(backend)["database"] == "unavailable"
    assert "newer than this program" in caplog.text


def test_a_broker_that_is_down_is_named_and_costs_no_request(backend: Backend, caplog: pytest.LogCaptureFixture):
    without = backend_with(backend, broker_url=NO_BROKER)
    assert check_readiness.check(without) == {"database": "ok", "storage": "ok", "broker": "unavailable"}
    export_id = request(without, settings_for())
    assert sweep_exports.sweep(backend) == 1
    assert run_export.run(backend, export_id).status == "done"
    assert "geheim" not in caplog.text


def test_message_folders_that_cannot_be_made_are_a_broker_that_is_down(backend: Backend, tmp_path: Path):
    (tmp_path / "file").touch()
    without = backend_with(backend, data_dir=tmp_path / "file" / "data")
    assert check_readiness.check(without)["broker"] == "unavailable"


def test_folders_named_by_url_are_a_broker_too(backend: Backend, tmp_path: Path):
    named = backend_with(backend, data_dir=tmp_path / "other", broker_url="filesystem://localhost")
    assert check_readiness.check(named)["broker"] == "ok"
    assert named.queue.publish_export()


@pytest.mark.parametrize(
    "act", [lambda dark: request(dark, settings_for()), sweep_exports.sweep, lambda dark: run_export.run(dark, 1)]
)
def test_without_a_database_nothing_is_pretended(backend: Backend, act):
    with pytest.raises(DatabaseUnavailable, match=r"^The database does not answer: ") as outage:
        act(backend_with(backend, database_url=NO_DATABASE))
    assert "geheim" not in outage.value.text
    assert len(outage.value.text.splitlines()) == 1
