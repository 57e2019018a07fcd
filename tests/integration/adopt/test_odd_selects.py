"""Whatever a SELECT is like: it is adopted with nothing lost, as random walks show, or refused in one line."""

import random
from collections.abc import Iterator

import psycopg2
import pytest

from contactexport.adopt.apply import apply
from contactexport.context import Context
from contactexport.errors import UsageError
from tests.support.logged import prepare
from tests.support.odd_selects import odd_select, odd_selects
from tests.support.random_walk import Walk

STEPS = 120
REFUSED = {name: refused for name, (_, refused) in odd_selects().items() if refused}


@pytest.fixture
def walker(context: Context) -> Iterator[psycopg2.extensions.connection]:
    conn = psycopg2.connect(context.contacts.url)
    yield conn
    conn.close()


@pytest.mark.parametrize("name", [one for one in odd_selects() if one not in REFUSED])
def test_log_has_every_change(context: Context, walker: psycopg2.extensions.connection, name: str):
    schema = odd_select(name)
    prepare(context, schema.ddl)
    walk = Walk(walker, schema, random.Random(1))
    for _ in range(200):
        walk.insert_somewhere()
    walker.commit()
    apply(context, schema.plan)
    for _ in range(STEPS):
        walk.step()
    assert walk.changes > STEPS / 40


@pytest.mark.parametrize("name", REFUSED)
def test_select_that_cannot_be_watched_is_refused_in_one_line(context: Context, name: str):
    schema = odd_select(name)
    prepare(context, schema.ddl)
    with pytest.raises(UsageError, match=REFUSED[name]) as refused:
        apply(context, schema.plan)
    assert refused.value.text.isprintable()
