"""psycopg2 and csv: a server-side cursor with its default of 2,000 rows at a time, into csv.writer."""

import csv

import psycopg2

from tools.job import HEADER, Job, run


def export(job: Job) -> None:
    """Memory stays flat."""
    with (
        psycopg2.connect(job.url) as connection,
        connection.cursor("changed") as cursor,
        job.file.open("w", encoding="utf-8", newline="") as file,
    ):
        cursor.execute(job.query)
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(HEADER)
        writer.writerows(cursor)


if __name__ == "__main__":
    run(export)
