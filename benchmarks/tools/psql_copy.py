"""psql: \\copy of the query to a file. Uses the program of the embedded Postgres, else the one on the path."""

import subprocess

from contactexport.embedded import postgres
from tools.job import Job, run


def export(job: Job) -> None:
    """A \\copy command is one line."""
    subprocess.run(command(job, str(job.file)), check=True)


def command(job: Job, to: str) -> list[str]:
    """The command of psql with a copy to a file, or to `STDOUT`."""
    query = " ".join(job.query.split())
    target = to if to == "STDOUT" else f"'{to}'"
    copy = f"\\copy ({query}) TO {target} WITH (FORMAT csv, HEADER)"
    return [str(postgres.programs() / "psql"), "--quiet", "--no-psqlrc", job.url, "-c", copy]


if __name__ == "__main__":
    run(export)
