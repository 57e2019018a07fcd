"""pandas: read_sql in chunks of 50,000 rows through a server-side cursor, to_csv of each."""

import pandas
import psycopg2
from sqlalchemy import create_engine

from tools.job import Job, run

ROWS = 50_000


def export(job: Job) -> None:
    """Without `stream_results` the driver would read everything before the first chunk."""
    engine = create_engine("postgresql+psycopg2://", creator=lambda: psycopg2.connect(job.url))
    with (
        engine.connect().execution_options(stream_results=True) as connection,
        job.file.open("w", encoding="utf-8", newline="") as file,
    ):
        for number, chunk in enumerate(pandas.read_sql(job.query, connection, chunksize=ROWS)):
            chunk.to_csv(file, index=False, header=number == 0)


if __name__ == "__main__":
    run(export)
