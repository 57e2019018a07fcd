"""ADBC: the query read into a polars data frame, write_csv."""

import polars

from tools.job import Job, run


def export(job: Job) -> None:
    """The whole result is in memory."""
    polars.read_database_uri(job.query, job.url, engine="adbc").write_csv(job.file)


if __name__ == "__main__":
    run(export)
