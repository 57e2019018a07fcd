"""contactexport: an export is requested and run, from the request to `done`, in one process as a worker does it."""

import shutil
import tempfile
from datetime import datetime

import contactexport
from contactexport.models import Caller, ExportSettings
from contactexport.services import deliver_export, request_export, run_export
from contactexport.settings import PREFIX, load_settings
from tools.job import FIELDS, FORM, Job, run


def export(job: Job) -> None:
    """Keeps locks, attempts, hash and status in the database as always; the file is complete and flushed to disk."""
    with tempfile.TemporaryDirectory(dir=job.file.parent) as folder:
        values = {"DATABASE_URL": job.url, "DATA_DIR": folder}
        backend = contactexport.make_backend(
            load_settings({}, {PREFIX + name: value for name, value in values.items()})
        )
        done = run_export.run(backend, request_export.request(backend, settings(job), None, Caller("benchmark")))
        if done is None or done.status != "done":
            raise RuntimeError(f"not done: {done}")
        shutil.move(deliver_export.stored_file(backend, done), job.file)
        backend.queue.close()
        backend.database.close()


def settings(job: Job) -> ExportSettings:
    """What is asked for."""
    return ExportSettings(
        distribution_method="local",
        origin="all" if job.everybody else "form",
        origin_ids=() if job.everybody else (FORM,),
        start=datetime.fromisoformat(job.start),
        end=datetime.fromisoformat(job.end),
        contact_fields=tuple(FIELDS),
        delimiter=",",
        header=True,
        language="en",
    )


if __name__ == "__main__":
    run(export)
