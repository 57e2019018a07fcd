"""Statements that are run, and remembered so that they can be shown."""

from dataclasses import dataclass, field

from psycopg2 import sql

from contactexport.db.connection import Connection
from contactexport.db.queries import template


@dataclass
class Statements:
    """Runs statements in the transaction of a connection. `schema` is the program's."""

    conn: Connection
    schema: str
    texts: list[str] = field(default_factory=list)

    def execute(
        self, name: str, /, *, quietly: bool = False, only_shown: bool = False, **values: sql.Composable
    ) -> None:
        """Runs a template of db/sql/adopt.sql. What is done `quietly` is not shown: it is undone again, or a look."""
        self.run(template("adopt", name).format(**values), quietly=quietly, only_shown=only_shown)

    def tell(self, comment: str) -> None:
        """Remembers a comment, for rows that are too many to be shown."""
        self.texts.append(f"-- {comment}")

    def run(self, statement: sql.Composable, *, quietly: bool = False, only_shown: bool = False) -> None:
        """Runs a statement, or only remembers it."""
        text = statement.as_string(self.conn)
        if not only_shown:
            with self.conn.cursor() as cursor:
                cursor.execute(text)
        if not quietly:
            self.texts.append(text)

    def found(self, name: str, /, **values: sql.Composable) -> dict[str, object] | None:
        """The first row that a template finds."""
        with self.conn.cursor() as cursor:
            cursor.execute(template("adopt", name).format(**values))
            row: dict[str, object] | None = cursor.fetchone()
        return row
