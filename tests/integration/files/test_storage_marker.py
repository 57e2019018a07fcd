"""A machine with a wrong storage folder or key is not ready, takes no exports and says why."""

import dataclasses
import json
import logging
import shutil

import pytest
from flask.testing import FlaskCliRunner

import contactexport
from contactexport import readiness
from contactexport.context import Context
from contactexport.errors import StorageUnfit
from contactexport.exports import deliver as deliver_export
from contactexport.exports import run as run_export
from contactexport.exports.sweep import sweep
from contactexport.files import storage_check
from contactexport.files.storage import MARKER
from contactexport.secrets import rotate
from contactexport.worker import tasks
from tests.support.exporting import context_with, execute, messages, request, row_of, run, settings_for


@pytest.fixture
def other_machine(context: Context, tmp_path):
    """A second machine, whose folder is not shared."""
    storage_check.require_storage(context)
    shutil.copy(context.settings.data_dir / "secret_key", tmp_path / "secret_key")
    made = context_with(context, data_dir=tmp_path, storage=tmp_path / "exports")
    yield made
    made.database.close()


@pytest.fixture
def production(context: Context):
    made = context_with(context, create_storage=False)
    yield made
    made.database.close()


def marker(context: Context) -> str | None:
    return context.storage.read_marker()


def installation(context: Context) -> str:
    return execute(context, "SELECT id::text FROM installation")[0]["id"]


def test_single_machine_marks_its_folder(context: Context):
    assert readiness.check(context)["storage"] == "ok"
    assert marker(context) == installation(context)
    assert run(context, request(context, settings_for())).status == "done"


def test_second_folder_is_not_marked_and_takes_no_files(other_machine: Context, context: Context):
    assert readiness.check(other_machine)["storage"] == "not marked" or not other_machine.settings.storage_dir.exists()
    export_id = request(context, settings_for())
    with pytest.raises(
        StorageUnfit,
        match=r"exports does not exist: mount the one .*, or run `flask storage init` if it is the right one",
    ):
        run_export.run(other_machine, export_id)
    assert row_of(context, export_id)["attempt"] == 0
    assert not other_machine.settings.storage_dir.exists()
    assert run(context, export_id).status == "done"


def test_folder_of_another_installation_is_refused(context: Context):
    storage_check.require_storage(context)
    (context.settings.storage_dir / MARKER).write_text("7f1c\n")
    assert readiness.check(context)["storage"] == "of another installation"
    with pytest.raises(StorageUnfit, match=r"belongs to another installation \(7f1c, not "):
        run_export.run(context, request(context, settings_for()))


def test_readyz_says_what_is_wrong_with_folder(app, context: Context, caplog: pytest.LogCaptureFixture):
    storage_check.require_storage(context)
    (context.settings.storage_dir / MARKER).unlink()
    answer = app.test_client().get("/readyz")
    assert (answer.status_code, answer.json["replyText"]) == (503, "Not ready: storage")
    assert answer.json["data"]["storage"] == "not marked"
    assert f"not ready: storage: The storage folder {context.settings.storage_dir} has no marker" in caplog.text


@pytest.mark.parametrize("exists", [True, False], ids=["an empty mount point", "no folder"])
def test_production_neither_creates_nor_marks_a_folder(production: Context, exists: bool):
    if exists:
        production.settings.storage_dir.mkdir(parents=True)
    assert readiness.check(production)["storage"] != "ok"
    export_id = request(production, settings_for())
    with pytest.raises(StorageUnfit, match="run `flask storage init`"):
        run_export.run(production, export_id)
    assert production.settings.storage_dir.exists() is exists
    assert marker(production) is None
    storage_check.mark(production)
    assert readiness.check(production)["storage"] == "ok"
    assert run(production, export_id).status == "done"


def test_production_does_not_create_its_storage():
    needed = {"DATABASE_URL": "postgresql://h/d", "BROKER_URL": "amqp://h", "STORAGE": "/srv/x", "SECRET_KEY": "k"}
    given = {f"CONTACTEXPORT_{name}": value for name, value in needed.items()}
    assert contactexport.load_settings(contactexport.ENVIRONMENTS["production"], given).create_storage is False


def test_storage_init_marks_folder_older_than_markers(production: Context, context: Context):
    folder = production.settings.storage_dir
    folder.mkdir(parents=True)
    (folder / "changes_1_en-abcdef.csv").write_text("old")
    with pytest.raises(StorageUnfit):
        storage_check.require_storage(production)
    storage_check.mark(production)
    storage_check.require_storage(production)
    assert (folder / "changes_1_en-abcdef.csv").read_text() == "old"


def test_folder_unmounted_during_export_gets_no_files(production: Context, context: Context, monkeypatch):
    storage_check.mark(production)
    folder = production.settings.storage_dir
    settled = run_export.settled_until_on_replica

    def unmounted_meanwhile(*arguments: object, **waits: object) -> object:
        until = settled(*arguments, **waits)
        folder.rename(folder.with_name("unmounted"))
        folder.mkdir()
        return until

    export_id = request(production, settings_for())
    monkeypatch.setattr(run_export, "settled_until_on_replica", unmounted_meanwhile)
    waiting = run_export.run(production, export_id)
    assert (waiting.status, waiting.error, waiting.run_attempts) == ("in progress", "The storage is not available", 0)
    assert list(folder.iterdir()) == []
    assert readiness.check(production)["storage"] == "not marked"
    folder.rmdir()
    folder.with_name("unmounted").rename(folder)
    monkeypatch.undo()
    execute(context, "UPDATE export SET due_at = now()")
    assert run(production, export_id).status == "done"


def test_delivery_waits_for_unmounted_folder(context: Context, monkeypatch):
    folder = context.settings.storage_dir
    export_id = request(context, settings_for())

    def unmounted(context: Context, conn: object, export: object) -> object:
        folder.rename(folder.with_name("unmounted"))
        return deliver(context, conn, export)

    deliver = deliver_export.deliver
    monkeypatch.setattr(deliver_export, "deliver", unmounted)
    waiting = run_export.run(context, export_id)
    assert (waiting.status, waiting.error) == ("ready", "The storage is not available")
    monkeypatch.undo()
    folder.with_name("unmounted").rename(folder)
    execute(context, "UPDATE export SET due_at = now()")
    assert run(context, export_id).status == "done"


def test_sweep_with_wrong_folder_records_no_file_as_deleted(other_machine: Context, context: Context):
    export_id = run(context, request(context, settings_for())).id
    execute(context, "UPDATE export SET finished_at = finished_at - interval '60 days'")
    sweep(other_machine)
    assert row_of(context, export_id)["file_deleted_at"] is None
    sweep(context)
    assert row_of(context, export_id)["file_deleted_at"] is not None


def test_download_with_wrong_folder_answers_503(api, app, other_machine: Context, context: Context):
    export_id = run(context, request(context, settings_for())).id
    with api.get(f"/api/v2/export/{export_id}/data") as here:
        assert here.status_code == 200
    app.extensions["contactexport"] = other_machine
    assert api.get(f"/api/v2/export/{export_id}/data").status_code == 503


def test_worker_with_wrong_folder_returns_messages_and_logs_reason_once(
    other_machine: Context, context: Context, monkeypatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr(tasks, "UNFIT_SECONDS", 0.01)
    tasks.register(other_machine.queue.celery, other_machine, tasks.Places(None))
    run_task = other_machine.queue.celery.tasks["contactexport.run_export"]
    export_id = request(context, settings_for())
    for path in messages(context):
        path.unlink()
    for _ in range(5):
        run_task()
    sweep(other_machine)
    assert len(messages(other_machine)) == 5
    assert caplog.text.count("no exports are taken: The storage folder") == 1
    shutil.copytree(context.settings.storage_dir, other_machine.settings.storage_dir)  # as if it were mounted now
    caplog.set_level(logging.WARNING)
    run_task()
    assert row_of(context, export_id)["status"] == "done"
    assert caplog.text.count("exports are taken again") == 1


def test_wrong_key_takes_no_exports_and_rotated_key_does(context: Context):
    old = context_with(context, secret_key="old")
    assert readiness.check(old)["storage"] == "ok"
    export_id = request(context, settings_for())
    for wrong in ("another", "new"):
        stranger = context_with(context, secret_key=wrong)
        assert readiness.check(stranger)["storage"] == "another key"
        with pytest.raises(StorageUnfit, match="add the old key after this one and a comma"):
            run_export.run(stranger, export_id)
    both = context_with(context, secret_key="new,old")
    assert readiness.check(both)["storage"] == "ok"
    rotate.rotate_secrets(both)
    for fit in ("new", "new,old"):
        assert readiness.check(context_with(context, secret_key=fit))["storage"] == "ok"
    assert readiness.check(old)["storage"] == "another key"
    assert "new" not in json.dumps(execute(context, "SELECT key_fingerprint FROM installation"))


def test_storage_init_names_installation_and_refuses_unmarked_second_folder(
    runner: FlaskCliRunner, app, context: Context, tmp_path
):
    first = runner.invoke(args=["storage", "init"])
    assert first.output == f"{context.settings.storage_dir} belongs to installation {installation(context)}\n"
    assert runner.invoke(args=["storage", "init"]).exit_code == 0
    unmounted = dataclasses.replace(context.settings, storage=tmp_path / "elsewhere")
    app.extensions["contactexport"] = contactexport.make_context(unmounted)
    refused = runner.invoke(args=["storage", "init"])
    assert refused.exit_code == 2
    assert (
        "elsewhere has no marker, but a folder of this installation was marked before: is it mounted?" in refused.output
    )
    assert not (tmp_path / "elsewhere").exists()
    assert runner.invoke(args=["storage", "init", "--replace"]).exit_code == 0
    assert readiness.check(app.extensions["contactexport"])["storage"] == "ok"


def test_export_command_is_refused_before_it_is_accepted(
    runner: FlaskCliRunner, app, other_machine: Context, context: Context
):
    app.extensions["contactexport"] = other_machine
    command = [
        "export",
        "changes",
        "--origin",
        "form",
        "--origin-id",
        "123",
        "--from",
        "2012-02-09",
        "--to",
        "2012-04-02",
    ]
    refused = runner.invoke(args=[*command, "--fields", "1"])
    assert refused.exit_code == 1
    assert "Error: The storage folder" in refused.output
    assert execute(context, "SELECT count(*) AS n FROM export") == [{"n": 0}]
