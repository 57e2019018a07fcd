"""psql: \\copy of the query to a file. The program of the embedded Postgres, else the one on the path."""

import subprocess

from contactexport.embedded import postgres
from tools.job import Job, run


def export(job: Job) -> None:
    """A \\copy command is one line."""
    query = " ".join(job.query.split())
    command = f"\\copy ({query}) TO '{job.file}' WITH (FORMAT csv, HEADER)"
    subprocess.run([postgres.programs() / "psql", "--quiet", "--no-psqlrc", job.url, "-c", command], check=True)


if __name__ == "__main__":
    run(export)
