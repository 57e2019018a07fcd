"""Postgres is restarted or killed while exports are in the middle of COPY and of every write of a state."""

import signal
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import psutil
import pytest
import requests

from contactexport.context import Context
from contactexport.db import migrate
from contactexport.embedded import sample_catalogue
from contactexport.exports.models import ExportSettings
from contactexport.users import manage
from tests.support.clock import let_pass
from tests.support.contexts import make_context
from tests.support.exporting import by_ftp, contact_changed, execute, other_session, request, settings_for
from tests.support.ftp_hosts import files, many_changed, serving
from tests.support.invariants import require_all_done
from tests.support.own_postgres import OwnPostgres, own_postgres, put_gates, waiting_at_gates
from tests.support.processes import Process, Server, server, worker
from tests.support.served import EXAMPLE, wait_until

FORM = 124
# Where each export is when Postgres ends, by its language.
ASKED = {"de": ("scheduled", "before commit"), "fr": ("scheduled", "after commit")}
RUN = {
    "es": ("in progress", "before commit"), "it": ("in progress", "after commit"),
    "hu": ("ready", "before commit"), "pl": ("ready", "after commit"),
}  # fmt: skip
DELIVERED = {"nl": ("done", "before commit"), "tr": ("done", "after commit")}
MOMENTS = ASKED | RUN | DELIVERED
AT_GATES = {"advisory": len(MOMENTS) / 2, "SyncRep": len(MOMENTS) / 2}

ENDS = {
    "restart -m fast": lambda postgres: postgres.restart("fast"),
    "restart -m immediate": lambda postgres: postgres.restart("immediate"),
    "kill -9": OwnPostgres.kill_and_start,
}


@dataclass
class Running:
    context: Context
    postgres: OwnPostgres
    server: Server
    askers: dict[str, Server]
    worker: Process
    host: Path
    port: int
    accepted: list[int]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One server and one worker that run all the time."""
    folder = tmp_path_factory.mktemp("restarts")
    with own_postgres() as postgres:
        context = make_context(postgres.url, folder / "data")
        migrate.upgrade(context.database)
        sample_catalogue.load(context.contacts)
        many_changed(context)
        contact_changed(context, origin_id=FORM)
        put_gates(context)
        for language, (status, moment) in MOMENTS.items():
            execute(context, "INSERT INTO gate VALUES (%s, %s, %s)", (language, status, moment))
        with (
            serving(folder / "host") as (port, _told),
            server(context) as asked,
            worker(context, concurrency=12, SWEEP_INTERVAL="0.3", CRASH_POINT="rows half written:1:SIGSTOP") as started,
        ):
            # Two users, because requests of one user wait for each other.
            other = manage.add_user(context, "another", with_wsse=False, with_token=True).token
            askers = {"de": asked, "fr": replace(asked, token=str(other))}
            yield Running(context, postgres, asked, askers, started, folder / "host", port, [])
        context.database.close()


@pytest.mark.parametrize("end", [pytest.param(end, marks=() if "kill" in end else pytest.mark.slow) for end in ENDS])
def test_every_export_survives_an_end_of_postgres_at_any_moment(running: Running, end: str):
    context = running.context
    with ThreadPoolExecutor() as threads, other_session(context) as gate, gate.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(0, 1)")
        reading, accepted = _in_the_middle_of_copy(running)
        accepted += [request(context, settings) for settings in _settings(running.port)]
        answers = {language: threads.submit(_ask, running, language) for language in ASKED}
        wait_until(lambda: _all_at_their_moments(running, reading), "all of them are at their moments")
        ENDS[end](running.postgres)
        accepted += _asked_again(running, answers)
    reading.send_signal(signal.SIGCONT)
    wait_until(lambda: _all_final(running), "all exports are finished", 100)
    running.accepted += accepted
    require_all_done(
        context, running.accepted, delivered_to=running.host, logs=[running.worker.log, running.server.log]
    )
    local = len(running.accepted) - len(files(running.host))
    wait_until(lambda: len(files(context.settings.storage_dir)) == local, "what was delivered is not kept")
    assert running.worker.started.poll() is running.server.started.poll() is None


def _in_the_middle_of_copy(running: Running) -> tuple[psutil.Process, list[int]]:
    export_id = request(running.context, settings_for())
    wait_until(lambda: len(running.worker.stopped()) == 1, "a part of its file is written")
    return running.worker.stopped()[0], [export_id]


def _settings(port: int) -> list[ExportSettings]:
    local = [settings_for(origin_ids=(FORM,), language=language) for language in RUN]
    return local + [replace(by_ftp(port), origin_ids=(FORM,), language=language) for language in DELIVERED]


def _ask(running: Running, language: str) -> requests.Response:
    return running.askers[language].post(EXAMPLE | {"origin_id": FORM, "language": language})


def _all_at_their_moments(running: Running, reading: psutil.Process) -> bool:
    for other in running.worker.stopped():
        if other != reading:
            other.send_signal(signal.SIGCONT)
    return waiting_at_gates(running.context) == AT_GATES


def _asked_again(running: Running, answers: dict[str, Future[requests.Response]]) -> list[int]:
    """The clients got 503. An export that was not stored is accepted now, and a stored one is refused as running."""
    assert {language: answer.result().status_code for language, answer in answers.items()} == {"de": 503, "fr": 503}
    again = {language: _ask(running, language) for language in ASKED}
    assert (again["de"].status_code, again["fr"].json()["replyCode"]) == (200, 4001)
    rows = execute(running.context, "SELECT max(id) AS id FROM export WHERE settings->>'language' = 'fr'")
    return [again["de"].json()["data"]["id"], rows[0]["id"]]


def _all_final(running: Running) -> bool:
    for stopped in running.worker.stopped():
        stopped.send_signal(signal.SIGCONT)
    let_pass(running.context, 60)
    return not execute(running.context, "SELECT id FROM export WHERE due_at IS NOT NULL")
