"""psql: the same \\copy, in a session with planner settings that were found by hand for this export."""

import os
import subprocess

from tools import psql_copy
from tools.job import Job, run

# Contacts are fetched in the order of ids, nothing is compiled.
PLANNER = "-c enable_hashjoin=off -c jit=off"


def export(job: Job) -> None:
    """With parallel workers of Postgres in their default configuration."""
    subprocess.run(psql_copy.command(job, str(job.file)), check=True, env=environment())


def environment() -> dict[str, str]:
    """The environment of psql."""
    return os.environ | {"PGOPTIONS": PLANNER}


if __name__ == "__main__":
    run(export)
