"""Exports that are run in this process as a worker does it, timed and checked."""

import hashlib
import subprocess
import time
from pathlib import Path

import contacts
from tools import by_contactexport, psql_copy, psql_copy_tuned
from tools.job import Job

from contactexport.backend import Backend
from contactexport.models import Export
from contactexport.services import deliver_export, request_export, run_export


class WrongExport(Exception):
    """An export is not done, or has other rows or bytes than psql writes."""


def job_of(backend: Backend, window: tuple[object, object], *, everybody: bool = True) -> Job:
    """The changes of [start, end)."""
    start, end = (moment.isoformat() for moment in window)  # type: ignore[attr-defined]
    return Job(backend.database.url, start, end, Path(), everybody)


def run(backend: Backend, job: Job, expected: str) -> float:
    """The seconds from the claim to `done`; the file is removed. Raises WrongExport."""
    export_id = request_export.store(backend, by_contactexport.settings(job), None, "benchmark")
    began = time.perf_counter()
    done = run_export.run(backend, export_id)
    seconds = time.perf_counter() - began
    require(done, expected)
    remove(backend, done)
    return seconds


def require(done: Export | None, expected: str) -> None:
    """Raises WrongExport unless the export is done, with the bytes of this SHA-256."""
    if done is None or done.status != "done" or done.sha256 != expected:
        raise WrongExport(f"{done}, expected {expected}")


def remove(backend: Backend, done: Export | None) -> None:
    """Removes the file of an export, so that the disk does not fill up, and the rows of all."""
    if done is not None:
        deliver_export.stored_file(backend, done).unlink()
    with backend.database.session() as conn:
        contacts.queries().forget_exports(conn)


def expected_sha256(job: Job) -> str:
    """SHA-256 of what `psql` writes, which is compared with a file made in Python where the tools are compared."""
    digest = hashlib.sha256()
    command, environment = psql_copy.command(job, "STDOUT"), psql_copy_tuned.environment()  # the fastest way
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as psql:
        while psql.stdout is not None and (block := psql.stdout.read(1 << 20)):
            digest.update(block)
    if psql.returncode:
        raise subprocess.CalledProcessError(psql.returncode, psql.args)
    return digest.hexdigest()
