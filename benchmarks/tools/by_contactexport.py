"""contactexport: an export is requested and run, from the request to `done`, in one process like in a worker."""

import shutil
import tempfile
from datetime import datetime

import contactexport
from contactexport.exports import accept, deliver
from contactexport.exports import run as run_export
from contactexport.exports.models import ExportSettings
from contactexport.settings import PREFIX, load_settings
from contactexport.users.models import Caller
from tools.job import FIELDS, FORM, Job, run


def export(job: Job) -> None:
    """Stores locks, attempts, hash and status in the database as always. The file is complete and flushed to disk."""
    with tempfile.TemporaryDirectory(dir=job.file.parent) as folder:
        values = {"DATABASE_URL": job.url, "DATA_DIR": folder}
        context = contactexport.make_context(
            load_settings({}, {PREFIX + name: value for name, value in values.items()})
        )
        # Each run has its own storage folder and secret key.
        with context.database.autocommit() as conn, conn.cursor() as cursor:
            cursor.execute("UPDATE installation SET key_fingerprint = NULL, storage_marked = false")
        done = run_export.run(context, accept.request(context, settings(job), None, Caller("benchmark")))
        if done is None or done.status != "done":
            raise RuntimeError(f"not done: {done}")
        shutil.move(deliver.stored_file(context, done), job.file)
        context.queue.close()
        context.database.close()


def settings(job: Job) -> ExportSettings:
    """The settings of the export."""
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
