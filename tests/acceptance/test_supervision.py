"""`flask serve` keeps its processes running, and leaves none behind."""

import signal
from collections.abc import Iterator

import psutil
import pytest

from tests.support.served import Served, command_of, running, wait_until


@pytest.fixture(scope="module")
def served(tmp_path_factory) -> Iterator[Served]:
    with running(tmp_path_factory.mktemp("served"), contacts=100) as started:
        yield started


@pytest.mark.parametrize("name", ["celery", "gunicorn"])
def test_serve_restarts_killed_process_and_the_next_export_is_done(served, name):
    # Wait until both processes of the worker run: one that is starting would log that its parent is gone.
    for before in [served.accepted(contact_fields=[field, 1, 2]) for field in (3, 9)]:
        assert served.finished(before)["status"] == "done"
    killed = served.child(name)
    its_children = killed.children(recursive=True)
    killed.kill()
    wait_until(lambda: _is_back(served, name, killed.pid), f"{name} runs again")
    wait_until(lambda: not any(map(_runs, its_children)), f"nothing of the killed {name} is left")
    wait_until(lambda: _is_ready(served), "the service answers")
    export_id = served.accepted(contact_fields=[1 if name == "celery" else 2])
    assert served.finished(export_id)["status"] == "done"


def test_serve_restarts_killed_postgres_and_the_next_export_is_done(served):
    killed = _postgres(served)
    killed.kill()
    wait_until(lambda: not _runs(killed) and _is_ready(served), "the service answers")
    assert served.finished(served.accepted(contact_fields=[9]))["status"] == "done"
    assert "Postgres has died and is restarted" in served.log.read_text()


def test_ctrl_c_ends_all_processes(served):
    ours = psutil.Process(served.process.pid).children(recursive=True)
    database = _postgres(served)
    served.process.send_signal(signal.SIGINT)
    assert served.process.wait(timeout=60) == 0
    assert [process for process in (*ours, database) if _runs(process)] == []
    assert "Traceback" not in served.log.read_text()


def _postgres(served: Served) -> psutil.Process:
    return psutil.Process(int((served.data_dir / "postgres" / "postmaster.pid").read_text().split()[0]))


def _runs(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _is_back(served: Served, name: str, former: int) -> bool:
    children = psutil.Process(served.process.pid).children()
    return any(child.pid != former and name in command_of(child) for child in children)


def _is_ready(served: Served) -> bool:
    try:
        return served.get("/readyz").status_code == 200
    except OSError:
        return False
