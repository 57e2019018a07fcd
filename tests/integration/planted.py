"""Functions and operators that a role without rights puts into the schema `public`, to be run by somebody with more.

A function that fits the types of its arguments exactly beats one of Postgres' own that needs a cast. So every function
and operator that some SQL uses is planted for all combinations of types. Each raises an error when it is called.
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
# For functions of three arguments, and of more: there are too many combinations of all.
FEWER = ["integer", "bigint", "text", "boolean", "timestamp", "timestamptz", "interval", "oid", "regclass", "jsonb"]
FEWEST = ["integer", "text", "timestamptz"]
MOST_ARGUMENTS = 6
# Of IN, IS DISTINCT FROM, nullif, CASE and BETWEEN.
IMPLIED = {"=", "<>", "<=", ">="}
NO_OPERATORS = {"=>"}


def plant(conn: connection, role: str, texts: Iterable[str]) -> None:
    """Plants, as a role that may create something in `public`, what the SQL texts use."""
    text = re.sub(r"--.*", "", "\n".join(texts))
    words, symbols = set(re.findall(r"[a-z_][a-z0-9_]*", text)), set(re.findall(r"[-+*/<>=~!@#%^&|`]+", text))
    with conn.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT proname, pronargs, provariadic <> 0 FROM pg_proc"
            " WHERE pronamespace = 'pg_catalog'::regnamespace AND prokind = 'f' AND proname = ANY (%s)",
            (sorted(words),),
        )
        statements = [*_functions(cursor.fetchall()), *_operators((symbols | IMPLIED) - NO_OPERATORS)]
        cursor.execute(sql.SQL("GRANT CREATE ON SCHEMA public TO {0}; SET ROLE {0}").format(sql.Identifier(role)))
        for start in range(0, len(statements), 1000):
            cursor.execute("; ".join(statements[start : start + 1000]))
        cursor.execute("RESET ROLE")


def _functions(known: Iterable[tuple[str, int, bool]]) -> Iterator[str]:
    called_with = {(name, count) for name, least, variadic in known for count in _counts(least, variadic=variadic)}
    for name, count in sorted(called_with):
        types = TYPES if count <= 2 else FEWER if count == 3 else FEWEST
        for arguments in product(types, repeat=count):
            yield _function(name, arguments)


def _counts(least: int, *, variadic: bool) -> range:
    return range(least, MOST_ARGUMENTS + 1 if variadic else min(least, MOST_ARGUMENTS) + 1)


def _function(name: str, arguments: tuple[str, ...]) -> str:
    body = f"BEGIN RAISE '{CALLED}: {name}({', '.join(arguments)}) by %', current_user; END"
    return f'CREATE FUNCTION public."{name}"({", ".join(arguments)}) RETURNS boolean LANGUAGE plpgsql AS $x$ {body} $x$'


def _operators(symbols: set[str]) -> Iterator[str]:
    for left, right in product(TYPES, repeat=2):
        yield _function("planted_operator", (left, right))
        for symbol in sorted(symbols):
            made = f"LEFTARG = {left}, RIGHTARG = {right}, FUNCTION = public.planted_operator"
            yield f"CREATE OPERATOR public.{symbol} ({made})"
