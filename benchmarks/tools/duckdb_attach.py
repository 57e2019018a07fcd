"""DuckDB: the tables of the attached Postgres, joined by DuckDB, COPY to a file."""

from tools.duckdb_database import attached
from tools.job import FORM, Job, run

QUERY = """
COPY (
    SELECT c.id AS user_id, nullif(c.first_name, '') AS "First Name", nullif(c.last_name, '') AS "Last Name",
           nullif(c.email, '') AS "E-Mail", c.date_of_birth AS "Date of Birth", genders.labels ->> 'en' AS "Gender",
           nullif(c.address, '') AS "Address", nullif(c.city, '') AS "City", nullif(c.zip_code, '') AS "ZIP Code",
           countries.labels ->> 'en' AS "Country", nullif(c.loyalty_number, '') AS "Loyalty number",
           strftime(changed.changed_at AT TIME ZONE 'UTC', '%Y-%m-%d %H:%M:%S') AS "last update"
    FROM (
        SELECT contact_id, max(changed_at) AS changed_at FROM crm.contact_change
        WHERE origin_kind = 'form' AND origin_id = {form} AND changed_at >= '{start}' AND changed_at < '{end}'
        GROUP BY contact_id
    ) AS changed
    JOIN crm.contact AS c ON c.id = changed.contact_id
    LEFT JOIN crm.contact_field_choice AS genders ON genders.field_id = 5 AND genders.id = c.gender
    LEFT JOIN crm.contact_field_choice AS countries ON countries.field_id = 14 AND countries.id = c.country
    WHERE c.origin_kind = 'form' AND c.origin_id = {form}
    ORDER BY c.id
) TO '{file}' (FORMAT csv, HEADER)
"""


def export(job: Job) -> None:
    """DuckDB reads both tables in parallel, with the conditions on their columns. It joins and sorts itself."""
    attached(job.url).execute(QUERY.format(form=FORM, start=job.start, end=job.end, file=job.file))


if __name__ == "__main__":
    run(export)
