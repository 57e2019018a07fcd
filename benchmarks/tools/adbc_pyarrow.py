"""ADBC: the query read as a stream of Arrow record batches, written by pyarrow's CSVWriter."""

from adbc_driver_postgresql import dbapi
from pyarrow import csv

from tools.job import Job, run


def export(job: Job) -> None:
    """Memory stays flat."""
    with dbapi.connect(job.url) as connection, connection.cursor() as cursor:
        cursor.execute(job.query)
        reader = cursor.fetch_record_batch()
        with csv.CSVWriter(job.file, reader.schema) as writer:
            for batch in reader:
                writer.write_batch(batch)


if __name__ == "__main__":
    run(export)
