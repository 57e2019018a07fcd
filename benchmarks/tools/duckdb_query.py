"""DuckDB: the query passed on to Postgres (postgres_query), COPY to a file."""

from tools.duckdb_database import attached
from tools.job import Job, run

QUERY = "COPY (SELECT * FROM postgres_query('crm', '{query}')) TO '{file}' (FORMAT csv, HEADER)"


def export(job: Job) -> None:
    """Postgres joins and sorts."""
    attached(job.url).execute(QUERY.format(query=job.query.replace("'", "''"), file=job.file))


if __name__ == "__main__":
    run(export)
