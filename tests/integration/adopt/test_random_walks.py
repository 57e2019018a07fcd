"""Whatever is done to the tables of an adopted schema, the log has all contacts that changed, and no others."""

import random
from collections.abc import Iterator

import psycopg2
import pytest

from contactexport.adopt.apply import apply
from contactexport.context import Context
from tests.support.adopted_schemas import SCHEMAS, AdoptedSchema
from tests.support.random_walk import Walk

SEEDS = range(3)
STEPS = 250


@pytest.fixture
def walker(context: Context) -> Iterator[psycopg2.extensions.connection]:
    """Whoever changes the tables: a session that knows nothing of the program."""
    conn = psycopg2.connect(context.contacts.url)
    yield conn
    conn.close()


def adopt(context: Context, schema: AdoptedSchema, conn: psycopg2.extensions.connection, seed: int) -> Walk:
    with conn, conn.cursor() as cursor:
        cursor.execute("DELETE FROM contact_field; DELETE FROM origin")
        cursor.execute(schema.ddl)
    walk = Walk(conn, schema, random.Random(seed))
    for _ in range(200):
        walk.insert_somewhere()
    conn.commit()
    apply(context, schema.plan)
    return walk


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in SEEDS[1:])])
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name == "helpdesk" else ()) for name in SCHEMAS]
)
def test_log_has_every_change_of_random_walk_and_no_other(
    context: Context, walker: psycopg2.extensions.connection, name: str, seed: int
):
    walk = adopt(context, SCHEMAS[name], walker, seed)
    for _ in range(STEPS):
        walk.step()
    assert walk.changes > STEPS / 10
