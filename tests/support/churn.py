"""Sessions that do to contacts whatever a program may do, for mirrors that must follow.

Ids come from a small range, so that they are deleted and made again, by several sessions.
"""

import contextlib
import io
import random
import threading
from collections import Counter
from collections.abc import Callable

import psycopg2
from psycopg2.extensions import (
    ISOLATION_LEVEL_READ_COMMITTED,
    ISOLATION_LEVEL_REPEATABLE_READ,
    ISOLATION_LEVEL_SERIALIZABLE,
    connection,
    cursor,
)

ORIGINS = (("form", 123), ("form", 124), ("api", 456))
IDS = 400
ISOLATION = (ISOLATION_LEVEL_READ_COMMITTED,) * 4 + (ISOLATION_LEVEL_REPEATABLE_READ, ISOLATION_LEVEL_SERIALIZABLE)
LONG_SECONDS = 1.0
# A long transaction of another session must not stop all others for good.
WAITS = "SET lock_timeout = '300ms'; SET deadlock_timeout = '100ms'"
# Some other origin; which one, the id decides.
ELSEWHERE = "CASE WHEN origin_id = 123 THEN 124 ELSE 123 END"


class Churn:
    """Changes contacts with ids from `first_id` on until `end`. `counts` tells what it has committed.

    `long_seconds`: how long some transactions stay open. `truncates`: it may empty the whole table.
    """

    def __init__(
        self, url: str, seed: str, first_id: int = 1, *, long_seconds: float = LONG_SECONDS, truncates: bool = False
    ) -> None:
        self.counts: Counter[str] = Counter()
        self._url = url
        self._chance = random.Random(seed)
        self._first_id = first_id
        self._long_seconds = long_seconds
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._number = 0
        self._name = seed
        self._weights: dict[Callable[[cursor], None], int] = {
            self._insert: 6, self._copy: 2, self._upsert: 3, self._update: 8, self._update_nothing: 1,
            self._update_many: 1, self._delete: 5, self._move: 6, self._move_there_and_back: 3,
            self._change_ids: 4, self._replace: 3, self._delete_many: 1, self._truncate: int(truncates),
        }  # fmt: skip

    def start(self) -> None:
        self._thread.start()

    def end(self) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.is_set():
            with contextlib.suppress(psycopg2.Error):  # a fault has ended the session, so another one continues
                self._change_until_it_breaks()
            self._ended.wait(0.05)

    def _change_until_it_breaks(self) -> None:
        with contextlib.closing(psycopg2.connect(self._url, application_name="churn", connect_timeout=5)) as conn:
            with conn, conn.cursor() as cur:
                cur.execute(WAITS)
            while not self._ended.is_set():
                self.transaction(conn)
                self._ended.wait(self._chance.expovariate(1 / 0.02))

    def transaction(self, conn: connection) -> None:
        """Some statements, committed or not. A conflict with another session rolls them back."""
        chance, kinds = self._chance, []
        conn.set_session(isolation_level=chance.choice(ISOLATION))
        try:
            with conn.cursor() as cur:
                for _ in range(chance.choice((1, 1, 1, 2, 4))):
                    kinds.append(self._statement(cur))
                    self._ended.wait(chance.expovariate(1 / 0.01))
            if chance.random() < 0.04:
                self._ended.wait(chance.uniform(self._long_seconds / 2, self._long_seconds))
                kinds.append("long")
            if chance.random() < 0.2:
                conn.rollback()
                kinds = ["rolled back"]
            else:
                conn.commit()
        except (psycopg2.IntegrityError, psycopg2.OperationalError, psycopg2.extensions.TransactionRollbackError):
            conn.rollback()  # raises if the session is lost
            kinds = ["conflicts"]
        self.counts.update(kinds)

    def _statement(self, cur: cursor) -> str:
        self._number += 1
        [kind] = self._chance.choices(list(self._weights), weights=list(self._weights.values()))
        if self._chance.random() < 0.2:
            cur.execute("SAVEPOINT one")
            kind(cur)
            if self._chance.random() < 0.5:
                cur.execute("ROLLBACK TO SAVEPOINT one")
                return "savepoints rolled back"
        else:
            kind(cur)
        return kind.__name__.strip("_").replace("_", " ")

    @property
    def _marker(self) -> str:
        return f"{self._name}.{self._number}"

    def _ids(self, most: int) -> list[int]:
        """In their order, so that fewer sessions wait for each other in a circle."""
        found = self._chance.sample(range(IDS), self._chance.randint(1, most))
        return sorted(self._first_id + number for number in found)

    def _insert(self, cur: cursor) -> None:
        cur.execute(
            "INSERT INTO contact (id, origin_kind, origin_id, first_name)"
            " SELECT id, %s, %s, %s FROM unnest(%s) AS id ON CONFLICT DO NOTHING",
            (*self._chance.choice(ORIGINS), self._marker, self._ids(20)),
        )

    def _copy(self, cur: cursor) -> None:
        cur.execute("SELECT id FROM unnest(%s) AS id WHERE id NOT IN (SELECT id FROM contact)", (self._ids(9),))
        kind, origin = self._chance.choice(ORIGINS)
        lines = "".join(f"{contact},{kind},{origin},{self._marker}\n" for (contact,) in cur.fetchall())
        cur.copy_expert(
            "COPY contact (id, origin_kind, origin_id, first_name) FROM STDIN (FORMAT csv)", io.StringIO(lines)
        )

    def _upsert(self, cur: cursor) -> None:
        cur.execute(
            "INSERT INTO contact (id, origin_kind, origin_id, first_name) SELECT id, %s, %s, %s FROM unnest(%s) AS id"
            " ON CONFLICT (id) DO UPDATE SET first_name = excluded.first_name, origin_kind = excluded.origin_kind,"
            " origin_id = excluded.origin_id",
            (*self._chance.choice(ORIGINS), self._marker, self._ids(9)),
        )

    def _update(self, cur: cursor) -> None:
        cur.execute("UPDATE contact SET first_name = %s WHERE id = ANY (%s)", (self._marker, self._ids(20)))

    def _update_nothing(self, cur: cursor) -> None:
        cur.execute("UPDATE contact SET first_name = first_name || '' WHERE id = ANY (%s)", (self._ids(9),))

    def _update_many(self, cur: cursor) -> None:
        cur.execute(
            "UPDATE contact SET last_name = %s WHERE id BETWEEN %s AND %s",
            (self._marker, self._first_id, self._first_id + IDS - 1),
        )

    def _delete(self, cur: cursor) -> None:
        cur.execute("DELETE FROM contact WHERE id = ANY (%s)", (self._ids(9),))

    def _delete_many(self, cur: cursor) -> None:
        cur.execute(
            "DELETE FROM contact WHERE id BETWEEN %s AND %s AND origin_id = 123",
            (self._first_id, self._first_id + IDS - 1),
        )

    def _move(self, cur: cursor) -> None:
        """Some of them also change."""
        changed = self._chance.choice(("", f", first_name = '{self._marker}'"))
        cur.execute(
            f"UPDATE contact SET origin_kind = %s, origin_id = %s{changed} WHERE id = ANY (%s)",
            (*self._chance.choice(ORIGINS), self._ids(20)),
        )

    def _move_there_and_back(self, cur: cursor) -> None:
        ids = self._ids(9)
        for _ in range(2):
            cur.execute(
                f"UPDATE contact SET origin_id = {ELSEWHERE} WHERE origin_kind = 'form' AND id = ANY (%s)", (ids,)
            )
            self._ended.wait(self._chance.expovariate(1 / 0.02))

    def _change_ids(self, cur: cursor) -> None:
        """Those of several contacts by one statement. A new id that is in use is a conflict."""
        shift = self._chance.choice((-7, -1, 1, 7))
        cur.execute("UPDATE contact SET id = id + %s WHERE id = ANY (%s)", (shift, self._ids(3)))

    def _replace(self, cur: cursor) -> None:
        ids = self._ids(3)
        cur.execute("DELETE FROM contact WHERE id = ANY (%s)", (ids,))
        cur.execute(
            "INSERT INTO contact (id, origin_kind, origin_id, first_name) SELECT id, %s, %s, %s FROM unnest(%s) AS id",
            (*self._chance.choice(ORIGINS), self._marker, ids),
        )

    def _truncate(self, cur: cursor) -> None:
        cur.execute("TRUNCATE contact")


class LateCommits(threading.Thread):
    """A session that commits when two more windows were delivered, so the second one was read without its change.

    Each transaction makes a contact that nobody touches again: who misses it never hears of it. `made` is their number.
    """

    def __init__(self, url: str, first_id: int) -> None:
        super().__init__()
        self.made = 0
        self._url = url
        self._first_id = first_id
        self._changed = threading.Condition()
        self._windows = 0
        self._is_over = False

    def window_delivered(self) -> None:
        with self._changed:
            self._windows += 1
            self._changed.notify_all()

    def end(self) -> None:
        with self._changed:
            self._is_over = True
            self._changed.notify_all()
        self.join()

    def run(self) -> None:
        statement = "INSERT INTO contact (id, origin_kind, origin_id, first_name) VALUES (%s, 'form', 123, 'late')"
        with contextlib.closing(psycopg2.connect(self._url, application_name="late")) as conn:
            while not self._is_over:
                with conn, conn.cursor() as cur:
                    cur.execute(statement, (self._first_id + self.made,))
                    with self._changed:
                        enough = self._windows + 2
                        self._changed.wait_for(lambda enough=enough: self._is_over or self._windows >= enough)
                self.made += 1
