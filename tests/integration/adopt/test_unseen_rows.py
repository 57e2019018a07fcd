"""TRUNCATE of an adopted table also deletes rows that its transaction does not see. They could not be logged."""

import psycopg2
import pytest

from contactexport.adopt.apply import apply
from contactexport.context import Context
from tests.support.adopted_schemas import SCHEMAS, AdoptedSchema
from tests.support.exporting import execute, other_session
from tests.support.logged import prepare


@pytest.mark.parametrize("schema", SCHEMAS.values(), ids=list(SCHEMAS))
def test_truncate_fails_if_others_have_committed_since_the_snapshot(context: Context, schema: AdoptedSchema):
    prepare(context, schema.ddl)
    apply(context, schema.plan)
    table = next(iter(schema.values))
    begin = f"SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SELECT FROM {table}"
    with other_session(context, autocommit=False) as conn, conn.cursor() as cursor:
        for number_before in ("", "; SELECT pg_current_xact_id()"):  # the other one commits before, or after it has its
            cursor.execute(begin + number_before)
            execute(context, "SELECT pg_current_xact_id()")
            with pytest.raises(psycopg2.errors.SerializationFailure, match="contacts that this transaction does not"):
                cursor.execute(f"TRUNCATE {table} CASCADE")
            conn.rollback()
        cursor.execute(f"{begin}; TRUNCATE {table} CASCADE")
        conn.commit()
    assert execute(context, f"SELECT FROM {table}") == []
