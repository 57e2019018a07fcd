"""Exports that run in this process like in a worker, timed and checked."""

import hashlib
import subprocess
import time
from pathlib import Path

import contacts
from tools import by_contactexport, psql_copy, psql_copy_tuned
from tools.job import Job

from contactexport.context import Context
from contactexport.exports import accept
from contactexport.exports import run as run_export
from contactexport.exports.models import Export


class WrongExport(Exception):
    """An export is not done, or has other rows or bytes than psql writes."""


def job_of(context: Context, window: tuple[object, object], *, everybody: bool = True) -> Job:
    """The settings of an export of the changes in [start, end)."""
    start, end = (moment.isoformat() for moment in window)  # type: ignore[attr-defined]
    return Job(context.database.url, start, end, Path(), everybody)


def run(context: Context, job: Job, expected: str) -> float:
    """The seconds from the claim to `done`. Deletes the file afterwards. Raises WrongExport."""
    export_id = accept.store(context, by_contactexport.settings(job), None, "benchmark")
    began = time.perf_counter()
    done = run_export.run(context, export_id)
    seconds = time.perf_counter() - began
    require(done, expected)
    remove(context, done)
    return seconds


def require(done: Export | None, expected: str) -> None:
    """Raises WrongExport unless the export is done, with the bytes of this SHA-256."""
    if done is None or done.status != "done" or done.sha256 != expected:
        raise WrongExport(f"{done}, expected {expected}")


def remove(context: Context, done: Export | None) -> None:
    """Deletes the file of an export, so that the disk does not fill up, and the rows of all exports."""
    if done is not None:
        context.storage.delete(done.stored_name)
    with context.database.session() as conn:
        contacts.queries().forget_exports(conn)


def expected_sha256(job: Job) -> str:
    """SHA-256 of the file that `psql` writes. The comparison of tools checks that file against one made in Python."""
    digest = hashlib.sha256()
    command, environment = psql_copy.command(job, "STDOUT"), psql_copy_tuned.environment()  # the fastest way
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as psql:
        while psql.stdout is not None and (block := psql.stdout.read(1 << 20)):
            digest.update(block)
    if psql.returncode:
        raise subprocess.CalledProcessError(psql.returncode, psql.args)
    return digest.hexdigest()
