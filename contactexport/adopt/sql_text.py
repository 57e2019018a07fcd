"""Pieces of SQL that users write: expressions, tables with an alias, conditions, a whole SELECT."""

from string import ascii_lowercase, ascii_uppercase

import sqlglot
from psycopg2 import sql
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.tokens import Token, TokenType  # type: ignore[attr-defined]

from contactexport.adopt.models import Join, Plan
from contactexport.adopt.view_text import DIALECT, said
from contactexport.db.connection import Connection
from contactexport.errors import UsageError

LOWER = str.maketrans(ascii_uppercase, ascii_lowercase)
OPENS = {TokenType.L_PAREN: TokenType.R_PAREN, TokenType.L_BRACKET: TokenType.R_BRACKET}


def unquoted(name: str) -> str:
    """How Postgres reads a name without quotes: letters of other alphabets stay as they are."""
    return name.translate(LOWER)


def select_parts(plan: Plan) -> str:
    """What stands behind FROM: the table with its joins, or the user's own SELECT."""
    if plan.view is not None:
        return f"(\n{plan.view}\n) AS contact"
    return " ".join([plan.table, *(f"LEFT JOIN {join.table} ON ({join.condition}\n)" for join in plan.joins)])


def require_piece(text: str, what: str) -> str:
    """Returns the text if it can stand inside a SELECT: something, with no semicolon, every bracket closed again.

    Postgres says what else is wrong with it. Raises UsageError.
    """
    tokens, waiting = _tokens(text, what), list[TokenType]()
    for token in tokens:
        if token.token_type in OPENS:
            waiting.append(OPENS[token.token_type])
        elif token.token_type in OPENS.values() and (not waiting or waiting.pop() is not token.token_type):
            raise UsageError(f"{what}: a bracket is closed in {text!r} that was not opened")
        elif token.token_type is TokenType.SEMICOLON:
            raise UsageError(f"{what}: {text!r} has a semicolon, one expression expected")
    if waiting or not tokens:
        raise UsageError(f"{what}: {text!r} is not an expression" + (": a bracket is not closed" if waiting else ""))
    return text.strip()


def told_name(expression: str) -> str | None:
    """The name of what an expression gives: of a column (`profile.city`: "city"), or of a key of a JSON column
    (`attribs->>'shoe size'`: "shoe size"). None for anything else.
    """
    try:
        parsed = sqlglot.parse_one(expression, dialect=DIALECT)
    except SqlglotError:
        return None
    if isinstance(parsed, exp.Column):
        return str(parsed.name if parsed.this.quoted else unquoted(parsed.name))
    keys = [str(one.this) for one in parsed.find_all(exp.JSONPathKey)]
    return keys[0] if len(keys) == 1 else None


def columns_in(expression: str) -> set[str]:
    """The names of the columns that an expression reads."""
    try:
        parsed = sqlglot.parse_one(expression, dialect=DIALECT)
    except SqlglotError:
        return set()
    return {one.name if one.this.quoted else unquoted(one.name) for one in parsed.find_all(exp.Column)}


def read_join(text: str) -> Join:
    """From `profile AS p ON p.user_id = auth_user.id`. Raises UsageError."""
    what = f"--join {text!r}"
    tokens = _tokens(text, what)
    on = next((token for token in tokens if token.token_type is TokenType.ON), None)
    if on is None or on is tokens[0]:
        raise UsageError(f'{what}: TABLE ON CONDITION expected, such as "profile ON profile.user_id = customer.id"')
    return Join(require_piece(text[: on.start], what), require_piece(text[on.end + 1 :], what))


def split_alias(text: str, what: str) -> tuple[str, str]:
    """A table's name and its alias: `shop.profile AS p` is ("shop.profile", "p"). Without alias that is empty."""
    try:
        found = exp.select().from_(text, dialect=DIALECT).args["from_"].this
    except SqlglotError:
        found = None
    if not isinstance(found, exp.Table) or not isinstance(found.this, exp.Identifier) or found.args.get("joins"):
        raise UsageError(f"{what}: {text!r} is not the name of a table")
    alias = found.args.get("alias")
    found.set("alias", None)
    return found.sql(dialect=DIALECT), alias.sql(dialect=DIALECT) if alias else ""


def read_select(text: str, name: str) -> str:
    """The one SELECT of a file, without a semicolon. Raises UsageError."""
    if "\0" in text:
        raise UsageError(f"{name} is no text: it has the character 0")
    try:
        statements = [
            one
            for one in sqlglot.parse(text, dialect=DIALECT)
            if one is not None and not isinstance(one, exp.Semicolon)
        ]
    except SqlglotError as error:
        raise UsageError(f"{name} cannot be read as SQL: {said(error)}") from None
    if len(statements) != 1:
        raise UsageError(f"{name} has {len(statements)} statements, one SELECT expected")
    if not isinstance(statements[0], exp.Query):
        raise UsageError(f"{name} has {statements[0].key.upper()}, one SELECT expected")
    ends = [token.start for token in _tokens(text, name) if token.token_type is TokenType.SEMICOLON]
    return (text[: ends[0]] if ends else text).strip()


def _tokens(text: str, what: str) -> list[Token]:
    try:
        return sqlglot.tokenize(text, read=DIALECT)
    except SqlglotError as error:
        raise UsageError(f"{what}: {text!r} cannot be read: {said(error)}") from None


def text_literal(conn: Connection, statement: sql.Composable, tag: str) -> sql.Composable:
    """A statement as a text in another one, readable if possible: between $tag$ and $tag$."""
    text = statement.as_string(conn)
    return sql.Literal(text) if "$" + tag in text else sql.SQL(f"${tag}$\n{text}\n${tag}$")
