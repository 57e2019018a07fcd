"""Feeds of a soak: each is run again and again, and a mirror follows it. Both are killed at any moment.

Contacts that other sessions delete, move and rename have ids from CHURNED_IDS on. Checks of other exports skip them.
"""

import random
import threading
import time
from collections import Counter
from typing import Any

from tests.soak.house import SERVERS, House
from tests.soak.load import Body, Caller, ftp_target
from tests.support.churn import Churn
from tests.support.mirrors import FIELDS, Mirror, differing, in_postgres, source_rows

CHURNED_IDS = 10**9
CHURNS = 2
FEED = "/api/v2/feed"
FOLDER = "feed"  # on the FTP host
ALL = {"origin": "all", "distribution_method": "local"}
ONE_FORM = {"origin": "form", "origin_id": 123, "distribution_method": "local", "delimiter": ";"}
BELONGS = {
    "all": "true",
    "one": "origin_kind = 'form' AND origin_id = 123",
    "several": "origin_kind = 'form' AND origin_id IN (123, 124)",
}
DELIVERED = "SELECT id FROM export WHERE feed_name = %s AND id > %s AND status = 'done'"


class Follower(threading.Thread):
    """A user with a feed and a mirror. Without a folder the mirror asks the service for the files."""

    def __init__(self, house: House, seed: str, name: str, body: Body) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()
        self.name = name
        self._house = house
        self._caller = Caller(house, f"feed {name}")
        self._body = body | {"name": name, "contact_fields": list(FIELDS), "removed": 1}
        self._chance = random.Random(seed)
        self._ended = threading.Event()
        self._told = "no last file"
        self._mirror: Mirror = in_postgres(house.postgres.url, name, name)

    def end(self) -> None:
        self._ended.set()
        self.join()

    def run(self) -> None:
        while self._sequence() is None and not self._ended.is_set():
            self._call("POST", "", self._body)
        while not self._ended.wait(self._chance.random()):
            self._call("POST", f"/{self.name}/run")
            if self._chance.random() < 0.3:
                self._follow()

    def last_file(self, seconds: float) -> bool:
        """Delivers a file that was begun after this call, and applies it. Returns False if that takes longer."""
        give_up = time.monotonic() + seconds
        self._house.sql("UPDATE feed SET schedule = NULL, due_at = NULL WHERE name = %s", (self.name,))
        newest = self._house.sql("SELECT max(id) AS id FROM export")[0]["id"]
        while not self._house.sql(DELIVERED, (self.name, newest)):
            if time.monotonic() > give_up:
                return False
            self._call("POST", f"/{self.name}/run")  # refused while a run is unfinished
            self._ended.wait(0.3)
        process = self._start()
        self._told = process.communicate(timeout=300)[1]
        return True

    def wrong(self) -> list[object]:
        """What the mirror said when it stopped, or what it has other than the source."""
        found = differing(self._mirror.rows(), source_rows(self._house.postgres.url, BELONGS[self.name]))
        return [*filter(None, [self._told]), *found.items()][:20]

    def _start(self) -> Any:
        by_ftp = self._body["distribution_method"] == "ftp"
        source = self._house.host_folder / FOLDER if by_ftp else self._house.urls[self._server()]
        return self._mirror.start(source, self._caller.token)

    def _follow(self) -> None:
        """Lets the mirror apply what is there, or kills it meanwhile. It may also find nobody who answers."""
        process = self._start()
        if self._chance.random() < 0.3:
            self._ended.wait(self._chance.uniform(0.2, 1.5))
            process.kill()
            self.counts["mirrors killed"] += 1
        process.communicate(timeout=300)
        self.counts["mirrors that followed"] += process.returncode == 0

    def _sequence(self) -> int | None:
        """None: there is no feed yet, or nobody answers."""
        answer = self._call("GET", f"/{self.name}")
        return answer.json()["data"]["sequence"] if answer is not None and answer.status_code == 200 else None

    def _call(self, method: str, path: str, body: Body | None = None) -> Any:
        answer = self._caller.call(method, FEED + path, body, first=self._server())
        if answer is not None:
            self.counts[f"{method} {answer.status_code}"] += 1
        return answer

    def _server(self) -> int:
        return self._chance.randrange(SERVERS)


def followers(house: House, seed: int) -> list[Follower]:
    """Of all origins and of one form, whose files are asked for, and of two forms by FTP."""
    bodies = {
        "all": ALL | {"schedule": "* * * * *"},
        "one": ONE_FORM,
        "several": {"origin": "form", "origin_id": [123, 124], **ftp_target(house, FOLDER)},
    }
    return [Follower(house, f"{seed} feed {name}", name, body) for name, body in bodies.items()]


def churns(house: House, seed: int) -> list[Churn]:
    return [Churn(house.postgres.url, f"{seed}.{number}", CHURNED_IDS + 1000) for number in range(CHURNS)]


def mirrors_are_equal(house: House, followers: list[Follower]) -> dict[str, int]:
    """Each mirror has exactly the contacts of its feed's origins."""
    counts: Counter[str] = Counter()
    for follower in followers:
        wrong = follower.wrong()
        assert wrong == [], f"{follower.name}: {wrong}"
        counts.update({name: number for name, number in follower.counts.items() if "mirror" in name})
    ended = house.sql("SELECT status, count(*) AS runs FROM export WHERE feed_id IS NOT NULL GROUP BY status")
    return {f"runs of feeds {row['status']}": row["runs"] for row in ended} | counts
