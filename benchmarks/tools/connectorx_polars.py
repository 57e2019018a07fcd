"""ConnectorX: the query read into a polars data frame, write_csv."""

import connectorx

from tools.job import Job, run


def export(job: Job) -> None:
    """The whole result is in memory."""
    connectorx.read_sql(job.url, job.query, return_type="polars").write_csv(job.file)


if __name__ == "__main__":
    run(export)
