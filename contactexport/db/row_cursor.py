"""Rows as dictionaries. psycopg2's RealDictCursor fills a class of its own, which takes as long as a short query."""

from typing import Any

from psycopg2.extensions import cursor

Row = dict[str, Any]


class RowCursor(cursor):  # type: ignore[misc] # psycopg2 has no types
    """A cursor whose rows are dictionaries, value by name of the column."""

    def fetchone(self) -> Row | None:
        """The next row, None after the last one."""
        row = super().fetchone()
        return None if row is None else dict(zip(self._names(), row, strict=True))

    def fetchmany(self, size: int | None = None) -> list[Row]:
        """The next rows, so many at most."""
        return self._named(super().fetchmany(self.arraysize if size is None else size))

    def fetchall(self) -> list[Row]:
        """All rows that are left."""
        return self._named(super().fetchall())

    def __next__(self) -> Row:
        """The next row of a loop."""
        row = super().__next__()  # a server-side cursor knows its columns only after it
        return dict(zip(self._names(), row, strict=True))

    def _named(self, rows: list[tuple[Any, ...]]) -> list[Row]:
        names = self._names()
        return [dict(zip(names, row, strict=True)) for row in rows]

    def _names(self) -> list[str]:
        return [column.name for column in self.description or ()]
