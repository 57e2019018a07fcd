"""Who has another storage folder or another key than the installation is not ready, takes no exports and says why."""

import dataclasses
import json
import logging
import shutil

import pytest
from exporting import backend_with, execute, messages, request, row_of, run, settings_for
from flask.testing import FlaskCliRunner

import contactexport
from contactexport import storage_folder
from contactexport.backend import Backend
from contactexport.errors import StorageUnfit
from contactexport.services import check_readiness, check_storage, deliver_export, rotate_secrets, run_export
from contactexport.services.sweep_exports import sweep
from contactexport.worker import tasks
from contactexport.worker.places import Places


@pytest.fixture
def other_machine(backend: Backend, tmp_path):
    """Its folder is not shared, and it came second."""
    check_storage.require_storage(backend)
    shutil.copy(backend.settings.data_dir / "secret_key", tmp_path / "secret_key")
    made = backend_with(backend, data_dir=tmp_path, storage=tmp_path / "exports")
    yield made
    made.database.close()


@pytest.fixture
def production(backend: Backend):
    made = backend_with(backend, create_storage=False)
    yield made
    made.database.close()


def marker(backend: Backend) -> str | None:
    return storage_folder.marked_for(backend.settings.storage_dir)


def installation(backend: Backend) -> str:
    return execute(backend, "SELECT id::text FROM installation")[0]["id"]


def test_one_machine_marks_its_folder_by_itself(backend: Backend):
    assert check_readiness.check(backend)["storage"] == "ok"
    assert marker(backend) == installation(backend)
    assert run(backend, request(backend, settings_for())).status == "done"


def test_a_second_folder_is_not_marked_and_takes_no_files(other_machine: Backend, backend: Backend):
    assert (
        check_readiness.check(other_machine)["storage"] == "not marked"
        or not other_machine.settings.storage_dir.exists()
    )
    export_id = request(backend, settings_for())
    with pytest.raises(
        StorageUnfit, match=r"exports does not exist: mount the one .*; if it is the right one, run `flask"
    ):
        run_export.run(other_machine, export_id)
    assert row_of(backend, export_id)["attempt"] == 0
    assert not other_machine.settings.storage_dir.exists()
    assert run(backend, export_id).status == "done"


def test_a_folder_of_another_installation_is_refused(backend: Backend):
    check_storage.require_storage(backend)
    (backend.settings.storage_dir / storage_folder.MARKER).write_text("7f1c\n")
    assert check_readiness.check(backend)["storage"] == "of another installation"
    with pytest.raises(StorageUnfit, match=r"belongs to another installation \(7f1c instead of "):
        run_export.run(backend, request(backend, settings_for()))


def test_readyz_says_what_is_wrong(app, backend: Backend, caplog: pytest.LogCaptureFixture):
    check_storage.require_storage(backend)
    (backend.settings.storage_dir / storage_folder.MARKER).unlink()
    answer = app.test_client().get("/readyz")
    assert (answer.status_code, answer.json["replyText"]) == (503, "Not ready: storage")
    assert answer.json["data"]["storage"] == "not marked"
    assert f"not ready: storage: The storage folder {backend.settings.storage_dir} has no marker" in caplog.text


@pytest.mark.parametrize("exists", [True, False], ids=["an empty mount point", "no folder"])
def test_production_makes_and_marks_nothing_by_itself(production: Backend, exists: bool):
    if exists:
        production.settings.storage_dir.mkdir(parents=True)
    assert check_readiness.check(production)["storage"] != "ok"
    export_id = request(production, settings_for())
    with pytest.raises(StorageUnfit, match="run `flask storage init`"):
        run_export.run(production, export_id)
    assert production.settings.storage_dir.exists() is exists
    assert marker(production) is None
    check_storage.mark(production)
    assert check_readiness.check(production)["storage"] == "ok"
    assert run(production, export_id).status == "done"


def test_production_is_what_config_production_says():
    loaded = contactexport.load_settings(
        {"CREATE_STORAGE": 0},
        {f"CONTACTEXPORT_{name}": value for name, value in {"DATABASE_URL": "postgresql://h/d"}.items()},
    )
    assert loaded.create_storage is False
    assert "CREATE_STORAGE = 0" in (contactexport.CONFIG_FOLDER / "production.py").read_text()


def test_an_installation_from_before_the_marker_is_marked_by_one_command(production: Backend, backend: Backend):
    folder = production.settings.storage_dir
    folder.mkdir(parents=True)
    (folder / "changes_1_en-abcdef.csv").write_text("old")
    with pytest.raises(StorageUnfit):
        check_storage.require_storage(production)
    check_storage.mark(production)
    check_storage.require_storage(production)
    assert (folder / "changes_1_en-abcdef.csv").read_text() == "old"


def test_a_folder_that_is_unmounted_later_gets_no_files(production: Backend, backend: Backend, monkeypatch):
    check_storage.mark(production)
    folder = production.settings.storage_dir
    settled = run_export._settled

    def unmounted_meanwhile(*arguments: object) -> object:
        until = settled(*arguments)
        folder.rename(folder.with_name("unmounted"))
        folder.mkdir()
        return until

    export_id = request(production, settings_for())
    monkeypatch.setattr(run_export, "_settled", unmounted_meanwhile)
    waiting = run_export.run(production, export_id)
    assert (waiting.status, waiting.error, waiting.run_attempts) == ("in progress", "The storage is not available", 0)
    assert list(folder.iterdir()) == []
    assert check_readiness.check(production)["storage"] == "not marked"
    folder.rmdir()
    folder.with_name("unmounted").rename(folder)
    monkeypatch.undo()
    execute(backend, "UPDATE export SET due_at = now()")
    assert run(production, export_id).status == "done"


def test_a_finished_file_waits_for_its_folder(backend: Backend, monkeypatch):
    folder = backend.settings.storage_dir
    export_id = request(backend, settings_for())

    def unmounted(backend: Backend, conn: object, export: object) -> object:
        folder.rename(folder.with_name("unmounted"))
        return deliver(backend, conn, export)

    deliver = deliver_export.deliver
    monkeypatch.setattr(deliver_export, "deliver", unmounted)
    waiting = run_export.run(backend, export_id)
    assert (waiting.status, waiting.error) == ("ready", "The storage is not available")
    monkeypatch.undo()
    folder.with_name("unmounted").rename(folder)
    execute(backend, "UPDATE export SET due_at = now()")
    assert run(backend, export_id).status == "done"


def test_a_sweep_elsewhere_notes_no_file_as_deleted(other_machine: Backend, backend: Backend):
    export_id = run(backend, request(backend, settings_for())).id
    execute(backend, "UPDATE export SET finished_at = finished_at - interval '60 days'")
    sweep(other_machine)
    assert row_of(backend, export_id)["file_deleted_at"] is None
    sweep(backend)
    assert row_of(backend, export_id)["file_deleted_at"] is not None


def test_a_download_elsewhere_is_asked_for_again(api, app, other_machine: Backend, backend: Backend):
    export_id = run(backend, request(backend, settings_for())).id
    with api.get(f"/api/v2/export/{export_id}/data") as here:
        assert here.status_code == 200
    app.extensions["contactexport"] = other_machine
    assert api.get(f"/api/v2/export/{export_id}/data").status_code == 503


def test_a_worker_leaves_its_messages_to_others_and_says_why_once(
    other_machine: Backend, backend: Backend, monkeypatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr(tasks, "UNFIT_SECONDS", 0.01)
    tasks.register(other_machine.queue.celery, other_machine, Places(None))
    run_task = other_machine.queue.celery.tasks["contactexport.run_export"]
    export_id = request(backend, settings_for())
    for path in messages(backend):
        path.unlink()
    for _ in range(5):
        run_task()
    sweep(other_machine)
    assert len(messages(other_machine)) == 5
    assert caplog.text.count("no exports are taken: The storage folder") == 1
    shutil.copytree(backend.settings.storage_dir, other_machine.settings.storage_dir)  # as if it were mounted now
    caplog.set_level(logging.WARNING)
    run_task()
    assert row_of(backend, export_id)["status"] == "done"
    assert caplog.text.count("exports are taken again") == 1


def test_another_key_takes_no_exports_and_a_rotated_one_does(backend: Backend):
    old = backend_with(backend, secret_key="old")
    assert check_readiness.check(old)["storage"] == "ok"
    export_id = request(backend, settings_for())
    for wrong in ("another", "new"):
        stranger = backend_with(backend, secret_key=wrong)
        assert check_readiness.check(stranger)["storage"] == "another key"
        with pytest.raises(StorageUnfit, match="put the former key behind this one and a comma"):
            run_export.run(stranger, export_id)
    both = backend_with(backend, secret_key="new,old")
    assert check_readiness.check(both)["storage"] == "ok"
    rotate_secrets.rotate_secrets(both)
    for fit in ("new", "new,old"):
        assert check_readiness.check(backend_with(backend, secret_key=fit))["storage"] == "ok"
    assert check_readiness.check(old)["storage"] == "another key"
    assert "new" not in json.dumps(execute(backend, "SELECT key_fingerprint FROM installation"))


def test_storage_init_tells_what_it_marked_and_guards_against_a_wrong_folder(
    runner: FlaskCliRunner, app, backend: Backend, tmp_path
):
    first = runner.invoke(args=["storage", "init"])
    assert first.output == f"{backend.settings.storage_dir} belongs to installation {installation(backend)}\n"
    assert runner.invoke(args=["storage", "init"]).exit_code == 0
    unmounted = dataclasses.replace(backend.settings, storage=tmp_path / "elsewhere")
    app.extensions["contactexport"] = contactexport.make_backend(unmounted)
    refused = runner.invoke(args=["storage", "init"])
    assert refused.exit_code == 2
    assert (
        "elsewhere has no marker, but a folder of this installation was marked before: is it mounted?" in refused.output
    )
    assert not (tmp_path / "elsewhere").exists()
    assert runner.invoke(args=["storage", "init", "--replace"]).exit_code == 0
    assert check_readiness.check(app.extensions["contactexport"])["storage"] == "ok"


def test_an_export_of_the_command_line_is_refused_before_it_is_accepted(
    runner: FlaskCliRunner, app, other_machine: Backend, backend: Backend
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
    assert execute(backend, "SELECT count(*) AS n FROM export") == [{"n": 0}]
