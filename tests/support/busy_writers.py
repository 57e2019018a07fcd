"""Programs that change contacts at the same time, in transactions of any length. They note what they have committed."""

import io
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

import psycopg2
from psycopg2.extensions import connection, cursor

MANY = 6
LATE = "commits behind a window"
MERGE_FROM_VERSION = 150_000
NEW_ID = "nextval(pg_get_serial_sequence('contact', 'id'))"


@dataclass(frozen=True)
class Change:
    """One contact in one statement. `marker` is its first name from then on. The statement ran from `begun` to `ended`
    by the database's clock.
    """

    contact: int
    marker: str
    begun: datetime
    ended: datetime


class Windows:
    """The window that is being read, for writers that commit during the read."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._begun = 0
        self._ended = 0
        self._patience = 0.0
        self._finished = False

    @contextmanager
    def one(self, patience: float) -> Iterator[None]:
        """The block reads a window. Writers that wrote before it delay their commits for at most so many seconds."""
        with self._changed:
            self._begun += 1
            self._patience = patience
            self._changed.notify_all()
        yield
        with self._changed:
            self._ended += 1
            self._changed.notify_all()

    def finish(self) -> None:
        """There are no more windows, so no writer waits for one."""
        with self._changed:
            self._finished = True
            self._changed.notify_all()

    def write_before_one(self, write: Callable[[], None], *, to_its_end: bool) -> None:
        """Writes between two windows. Returns when the second one has ended, or after a limited time."""
        with self._changed:
            self._wait_until(lambda: self._begun == self._ended)
            write()
            begun = self._begun
            self._wait_until(lambda: self._begun > begun)
            self._wait_until(lambda: self._ended > begun, None if to_its_end else self._patience)

    def _wait_until(self, reached: Callable[[], bool], most_seconds: float | None = None) -> None:
        self._changed.wait_for(lambda: self._finished or reached(), most_seconds)


class Writer:
    """A session that changes its own contacts, so that row locks do not serialize the writers."""

    def __init__(self, url: str, name: str, seed: int) -> None:
        self.conn: connection = psycopg2.connect(url)
        self.chance = random.Random(seed)
        self.counts: Counter[str] = Counter()
        self.committed: list[Change] = []
        self._name = name
        self._number = 0
        self._contacts: list[int] = []
        self._pending: list[Change] = []
        self._kinds = [self._insert, self._insert_many, self._update, self._upsert, self._copy]
        self._kinds += [self._update_nothing, self._move]
        if self.conn.server_version >= MERGE_FROM_VERSION:
            self._kinds.append(self._merge)

    def begin(self) -> None:
        """Begins a transaction that has no lock yet."""
        with self.conn.cursor() as cur:
            cur.execute("SELECT 1")

    def write(self) -> None:
        """One statement of any kind. The first one is an insert."""
        with self.conn.cursor() as cur:
            kind = self.chance.choice(self._kinds) if self._contacts else self._insert_many
            self._note(cur, kind)

    def write_in_savepoint(self) -> None:
        """A statement that is rolled back half of the time, in a transaction that continues."""
        kept = len(self._pending)
        with self.conn.cursor() as cur:
            cur.execute("SAVEPOINT one")
            self.write()
            if self.chance.random() < 0.5:
                cur.execute("ROLLBACK TO SAVEPOINT one")
                del self._pending[kept:]
                self.counts["savepoints rolled back"] += 1
            cur.execute("RELEASE SAVEPOINT one")

    def commit(self) -> None:
        self.conn.commit()
        self.committed += self._pending
        self._contacts = list({change.contact: None for change in self.committed})[-50:]
        self._pending = []
        self.counts["transactions committed"] += 1

    def rollback(self) -> None:
        self.conn.rollback()
        self._pending = []
        self.counts["transactions rolled back"] += 1

    def _note(self, cur: cursor, kind: Callable[[cursor, str], list[int]]) -> None:
        self._number += 1
        marker = f"{self._name}.{self._number}"
        begun = self._time(cur)
        contacts = kind(cur, marker)
        ended = self._time(cur)
        self._pending += [Change(contact, marker, begun, ended) for contact in contacts]
        self.counts[kind.__name__.strip("_").replace("_", " ")] += 1

    def _time(self, cur: cursor) -> datetime:
        cur.execute("SELECT clock_timestamp()")
        return cur.fetchone()[0]

    def _some(self, most: int) -> list[int]:
        return self.chance.sample(self._contacts, min(len(self._contacts), self.chance.randint(1, most)))

    def _ids(self, cur: cursor, statement: str, *values: object) -> list[int]:
        cur.execute(statement, values)
        return [row[0] for row in cur.fetchall()]

    def _insert(self, cur: cursor, marker: str) -> list[int]:
        statement = "INSERT INTO contact (origin_kind, origin_id, first_name) VALUES ('form', 123, %s) RETURNING id"
        return self._ids(cur, statement, marker)

    def _insert_many(self, cur: cursor, marker: str) -> list[int]:
        return self._ids(
            cur,
            "INSERT INTO contact (origin_kind, origin_id, first_name)"
            " SELECT 'form', 123, %s FROM generate_series(1, %s) RETURNING id",
            marker,
            self.chance.randint(2, 9),
        )

    def _update(self, cur: cursor, marker: str) -> list[int]:
        statement = "UPDATE contact SET first_name = %s WHERE id = ANY (%s) RETURNING id"
        return self._ids(cur, statement, marker, self._some(9))

    def _update_nothing(self, cur: cursor, _marker: str) -> list[int]:
        cur.execute("UPDATE contact SET first_name = first_name || '' WHERE id = ANY (%s)", (self._some(3),))
        return []

    def _move(self, cur: cursor, marker: str) -> list[int]:
        """Moves the contact to the other form, or back."""
        return self._ids(
            cur,
            "UPDATE contact SET first_name = %s, origin_id = 247 - origin_id WHERE id = ANY (%s) RETURNING id",
            marker,
            self._some(2),
        )

    def _upsert(self, cur: cursor, marker: str) -> list[int]:
        return self._ids(
            cur,
            "INSERT INTO contact (id, origin_kind, origin_id, first_name)"
            f" SELECT id, 'form', 123, %s FROM unnest(%s::bigint[] || {NEW_ID}) AS id"
            " ON CONFLICT (id) DO UPDATE SET first_name = excluded.first_name RETURNING id",
            marker,
            self._some(2),
        )

    def _copy(self, cur: cursor, marker: str) -> list[int]:
        made = self._ids(cur, f"SELECT {NEW_ID} FROM generate_series(1, 3)")
        lines = "".join(f"{contact},form,123,{marker}\n" for contact in made)
        statement = "COPY contact (id, origin_kind, origin_id, first_name) FROM STDIN (FORMAT csv)"
        cur.copy_expert(statement, io.StringIO(lines))
        return made

    def _merge(self, cur: cursor, marker: str) -> list[int]:
        contacts = [*self._some(2), *self._ids(cur, f"SELECT {NEW_ID}")]
        cur.execute(
            "MERGE INTO contact AS c USING unnest(%s) AS n (id) ON c.id = n.id"
            " WHEN MATCHED THEN UPDATE SET first_name = %s"
            " WHEN NOT MATCHED THEN INSERT (id, origin_kind, origin_id, first_name) VALUES (n.id, 'form', 123, %s)",
            (contacts, marker, marker),
        )
        return contacts


class Writers:
    """Sessions that write until the block ends.

    Two of them commit while a window is being read: one has written before the window began, one has only begun its
    transaction. Some transactions of the others are `slow`: they commit seconds after their statement.
    """

    def __init__(self, url: str, windows: Windows, seed: int, *, slow: bool) -> None:
        self._windows = windows
        self._slow = slow
        self._stop = threading.Event()
        loops = {f"writer {number}": self._transactions for number in range(MANY)}
        loops |= {"late commit": self._late_commits, "late statement": self._late_statements}
        self._writers = [Writer(url, name, seed + number) for number, name in enumerate(loops)]
        self._threads = [
            threading.Thread(target=self._run, args=(loop, writer))
            for loop, writer in zip(loops.values(), self._writers, strict=True)
        ]
        self.errors: list[BaseException] = []

    def __enter__(self) -> "Writers":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        self._windows.finish()
        for thread in self._threads:
            thread.join()
        for writer in self._writers:
            writer.conn.close()

    def were_late(self) -> bool:
        """Whether both late writers have committed during a window. Raises the error of a writer that failed."""
        if self.errors:
            raise self.errors[0]
        return all(writer.counts[LATE] for writer in self._writers[MANY:])

    @property
    def committed(self) -> list[Change]:
        return [change for writer in self._writers for change in writer.committed]

    @property
    def counts(self) -> Counter[str]:
        return sum((writer.counts for writer in self._writers), Counter())

    def _run(self, loop: Callable[[Writer], None], writer: Writer) -> None:
        try:
            loop(writer)
        except BaseException as error:
            self.errors.append(error)
            raise

    def _transactions(self, writer: Writer) -> None:
        chance = writer.chance
        while not self._stop.is_set():
            for _ in range(chance.choice((1, 1, 2, 4))):
                writer.write_in_savepoint() if chance.random() < 0.3 else writer.write()
                self._stop.wait(chance.expovariate(1 / 0.02))
            if self._slow and chance.random() < 0.005:
                self._stop.wait(chance.uniform(0.5, 3))
                writer.counts["slow transactions"] += 1
            writer.rollback() if chance.random() < 0.2 else writer.commit()

    def _late_commits(self, writer: Writer) -> None:
        self._behind_windows(writer, before=writer.write, behind=lambda: None, to_its_end=False)

    def _late_statements(self, writer: Writer) -> None:
        # No window waits for this writer before it writes.
        self._behind_windows(writer, before=writer.begin, behind=writer.write, to_its_end=True)

    def _behind_windows(
        self, writer: Writer, before: Callable[[], None], behind: Callable[[], None], *, to_its_end: bool
    ) -> None:
        while not self._stop.is_set():
            self._windows.write_before_one(before, to_its_end=to_its_end)
            behind()
            writer.commit()
            writer.counts[LATE] += 1
            self._stop.wait(writer.chance.uniform(0, 0.3))
