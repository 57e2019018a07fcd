"""Programs that change contacts while exports run, and a ledger of what they have committed.

Each change writes a token into the contact and into the ledger, in one transaction. So the ledger has exactly what was
committed, even if the writer did not get the confirmation.
"""

import contextlib
import itertools
import random
import threading
import time

import psycopg2
from psycopg2.extensions import connection

from tests.soak.house import House

CONTACTS_EACH = 15
ORIGINS = (("form", 123), ("form", 124), ("api", 456))
LONG_SECONDS = 4.0  # longer than exports wait for writers

NEW_CONTACT = "INSERT INTO contact (origin_kind, origin_id, last_name) VALUES (%s, %s, %s) RETURNING id"
CHANGE = "UPDATE contact SET last_name = %s WHERE id = %s"
NOTE = "INSERT INTO soak_ledger (token, contact_id) VALUES (%s, %s)"

tokens = itertools.count(1)


def prepare(house: House, writers: int) -> list[list[int]]:
    """Creates the ledger, and separate contacts for each writer. Writers of one contact would wait for each other."""
    house.sql("CREATE TABLE soak_ledger (token bigint PRIMARY KEY, contact_id bigint NOT NULL)")
    return [
        [house.sql(NEW_CONTACT, (*ORIGINS[number % 3], "before"))[0]["id"] for number in range(CONTACTS_EACH)]
        for _ in range(writers)
    ]


class Writer(threading.Thread):
    """Changes its contacts and adds some, in transactions. Some of them are rolled back, and some are long."""

    def __init__(self, house: House, contacts: list[int], seed: str) -> None:
        super().__init__()
        self._house = house
        self._contacts = contacts
        self._chance = random.Random(seed)
        self._ended = threading.Event()

    def end(self) -> None:
        self._ended.set()
        self.join()

    def run(self) -> None:
        while not self._ended.is_set():
            with contextlib.suppress(psycopg2.Error):  # a fault has ended the session, so another one continues
                self._write_until_it_breaks()
            self._ended.wait(0.2)

    def _write_until_it_breaks(self) -> None:
        conn = psycopg2.connect(self._house.postgres.url, application_name="soak writer", connect_timeout=5)
        try:
            while not self._ended.is_set():
                self._transaction(conn)
                self._ended.wait(self._chance.random() / 2)
        finally:
            conn.close()

    def _transaction(self, conn: connection) -> None:
        added = []
        pause = LONG_SECONDS if self._chance.random() < 0.03 else self._chance.random() / 10
        with conn.cursor() as cursor:
            for contact in self._chance.sample(self._contacts, self._chance.randint(1, 4)):
                token = next(tokens)
                cursor.execute(CHANGE, (str(token), contact))
                cursor.execute(NOTE, (token, contact))
                time.sleep(pause / 2)
            if self._chance.random() < 0.1:
                added.append(self._add(cursor))
        if self._chance.random() < 0.2:
            conn.rollback()
        else:
            conn.commit()
            self._contacts += added

    def _add(self, cursor) -> int:
        token = next(tokens)
        cursor.execute(NEW_CONTACT, (*self._chance.choice(ORIGINS), str(token)))
        contact = int(cursor.fetchone()[0])
        cursor.execute(NOTE, (token, contact))
        return contact
