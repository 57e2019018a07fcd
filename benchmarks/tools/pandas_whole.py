"""pandas: read_sql into one data frame, to_csv."""

import pandas
import psycopg2
from sqlalchemy import create_engine

from tools.job import Job, run


def export(job: Job) -> None:
    """The whole result is in memory."""
    engine = create_engine("postgresql+psycopg2://", creator=lambda: psycopg2.connect(job.url))
    pandas.read_sql(job.query, engine).to_csv(job.file, index=False)


if __name__ == "__main__":
    run(export)
