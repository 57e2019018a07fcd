"""Functions and operators that an attacker plants where others look for names, to be run with the rights of others.

A function that fits the types of its arguments exactly wins over one of Postgres' own that needs a cast. So every
function and operator of some SQL is planted for all combinations of types. Each raises an error when it is called.
"""

import re
from collections.abc import Iterable, Iterator
from itertools import product

from psycopg2 import sql
from psycopg2.extensions import connection

CALLED = "planted function called"
NUMBERS = ["smallint", "integer", "bigint", "numeric", "float8"]
TEXTS = ["text", "varchar", "name", '"char"']
MOMENTS = ["date", "timestamp", "timestamptz", "interval"]
OTHERS = ["boolean", "oid", "regclass", "regtype", "jsonb", "record", "integer[]"]
TYPES = [*NUMBERS, *TEXTS, *MOMENTS, *OTHERS]
# For functions of three and more arguments. All combinations would be too many.
FEWER = ["integer", "bigint", "text", "boolean", "timestamp", "timestamptz", "interval", "oid", "regclass", "jsonb"]
FEWEST = ["integer", "text", "timestamptz"]
MAX_ARGUMENTS = 6
# The operators of IN, IS DISTINCT FROM, nullif, CASE and BETWEEN.
IMPLIED = {"=", "<>", "<=", ">="}
NO_OPERATORS = {"=>"}


def plant(conn: connection, role: str, texts: Iterable[str], schema: str = "public") -> None:
    """Plants what the SQL texts use, as a role that may create something in a schema."""
    text = re.sub(r"--.*", "", "\n".join(texts))
    words, symbols = set(re.findall(r"[a-z_][a-z0-9_]*", text)), set(re.findall(r"[-+*/<>=~!@#%^&|`]+", text))
    with conn.cursor() as cursor:
        cursor.execute("SET search_path = pg_catalog")  # an earlier call may have planted it
        cursor.execute(
            "SELECT DISTINCT proname, pronargs, provariadic <> 0 FROM pg_proc"
            " WHERE pronamespace = 'pg_catalog'::regnamespace AND prokind = 'f' AND proname = ANY (%s)",
            (sorted(words),),
        )
        statements = [*_functions(cursor.fetchall()), *_operators((symbols | IMPLIED) - NO_OPERATORS)]
        allowed = sql.SQL("GRANT USAGE, CREATE ON SCHEMA {1} TO {0}; SET ROLE {0}; SET search_path = {1}")
        cursor.execute(allowed.format(sql.Identifier(role), sql.Identifier(schema)))
        for start in range(0, len(statements), 1000):
            cursor.execute("; ".join(statements[start : start + 1000]))
        cursor.execute("RESET ROLE; RESET search_path")


def _functions(known: Iterable[tuple[str, int, bool]]) -> Iterator[str]:
    called_with = {(name, count) for name, least, variadic in known for count in _counts(least, variadic=variadic)}
    for name, count in sorted(called_with):
        types = TYPES if count <= 2 else FEWER if count == 3 else FEWEST
        for arguments in product(types, repeat=count):
            yield _function(name, arguments)


def _counts(least: int, *, variadic: bool) -> range:
    return range(least, MAX_ARGUMENTS + 1 if variadic else min(least, MAX_ARGUMENTS) + 1)


def _function(name: str, arguments: tuple[str, ...]) -> str:
    body = f"BEGIN RAISE '{CALLED}: {name}({', '.join(arguments)}) by %', current_user; END"
    return f'CREATE FUNCTION "{name}"({", ".join(arguments)}) RETURNS boolean LANGUAGE plpgsql AS $x$ {body} $x$'


def _operators(symbols: set[str]) -> Iterator[str]:
    for left, right in product(TYPES, repeat=2):
        yield _function("planted_operator", (left, right))
        for symbol in sorted(symbols):
            made = f"LEFTARG = {left}, RIGHTARG = {right}, FUNCTION = planted_operator"
            yield f"CREATE OPERATOR {symbol} ({made})"
