"""ConnectorX: the query in two partitions of ids read at the same time, polars' write_csv."""

import connectorx

from tools.job import Job, run

PARTS = 2  # as many as cores


def export(job: Job) -> None:
    """The whole result is in memory; the partitions are read outside of a common snapshot."""
    frame = connectorx.read_sql(job.url, job.query, return_type="polars", partition_on="user_id", partition_num=PARTS)
    frame.write_csv(job.file)


if __name__ == "__main__":
    run(export)
