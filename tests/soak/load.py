"""The callers of a soak: a steady stream of requests, and some that lay windows end to end.

The window of each request ends at its own microsecond, the marker. So its row can be found even without an answer.
"""

import contextlib
import hashlib
import itertools
import random
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import requests

from tests.soak.house import SERVERS, House
from tests.support.exporting import PASSWORD
from tests.support.served import GETCHANGES

REQUESTS_PER_SECOND = 6.0
ANSWER_SECONDS = 10  # longer than a server may take, shorter than a pause of a stopped server
FUTURE = datetime(2400, 1, 1, tzinfo=UTC)
ORIGINS: tuple[Mapping[str, Any], ...] = (
    {"origin": "all"},
    {"origin": "form", "origin_id": 123},
    {"origin": "form", "origin_id": [123, 124]},
    {"origin": "api", "origin_id": [0, 456]},
)
FIELDS = ([1, 3], [1, 2, 3, 5, 14], [2, 3, 4, 9, 10, 11, 13, 15, 26, 37, 46, 106533])

Body = dict[str, Any]


@dataclass(frozen=True)
class Sent:
    """A request and its outcome: `accepted`, `4001`, `429`, `503`, `no answer`, or an unexpected text."""

    marker: int
    answer: str
    export_id: int | None = None


class Caller:
    """Sends requests as one user of the API, to any of the servers, and records all of them."""

    markers = itertools.count(1)

    def __init__(self, house: House, name: str) -> None:
        self.house = house
        self.name = name
        self.token = house.add_user(name)
        self._headers = {"Authorization": f"Bearer {self.token}"}
        self.sent: list[Sent] = []

    def call(self, method: str, path: str, body: Body | None = None, *, first: int) -> requests.Response | None:
        """Asks one of the servers, or the next one if it does not listen. Returns None if there was no answer."""
        urls = self.house.urls[first:] + self.house.urls[:first]
        for url in urls:
            try:
                return requests.request(method, url + path, json=body, headers=self._headers, timeout=ANSWER_SECONDS)
            except requests.RequestException as error:
                if "Connection refused" not in str(error):
                    return None
        return None

    def ask(self, body: Body, first: int) -> Sent:
        answer = self.call("POST", GETCHANGES, body, first=first)
        sent = Sent(_marker(body), *_meaning(answer))
        self.sent.append(sent)
        return sent


def _marker(body: Body) -> int:
    return datetime.fromisoformat(body["time_range"][1]).microsecond


def _meaning(answer: requests.Response | None) -> tuple[str, int | None]:
    if answer is None:
        return "no answer", None
    if answer.status_code == 200:
        return "accepted", int(answer.json()["data"]["id"])
    if answer.status_code == 400 and answer.json()["replyCode"] == 4001:
        return "4001", None
    if answer.status_code in {429, 503}:
        return str(answer.status_code), None
    return f"{answer.status_code}: {answer.text[:200]}", None


class Load(threading.Thread):
    """The steady stream of requests with different settings, some twice, some by several threads at once."""

    def __init__(self, house: House, seed: str, rate: float = REQUESTS_PER_SECOND) -> None:
        super().__init__()
        self.caller = Caller(house, "load")
        self._chance = random.Random(seed)
        self._rate = rate
        self._asked: list[Body] = []
        self._ended = threading.Event()

    def end(self) -> None:
        self._ended.set()
        self.join()

    def run(self) -> None:
        with ThreadPoolExecutor(24) as senders:
            following = time.monotonic()
            while not self._ended.wait(max(0, following - time.monotonic())):
                following += 1 / self._rate
                body = self._next_body()
                for _ in range(self._chance.randint(2, 5) if self._chance.random() < 0.06 else 1):
                    senders.submit(self.caller.ask, body, self._chance.randrange(SERVERS))

    def _next_body(self) -> Body:
        if self._asked and self._chance.random() < 0.06:
            return self._chance.choice(self._asked[-40:])
        self._asked.append(self._new_body())
        return self._asked[-1]

    def _new_body(self) -> Body:
        chance, house = self._chance, self.caller.house
        body = {
            "time_range": self._window(next(Caller.markers)),
            "contact_fields": chance.choice(FIELDS),
            "delimiter": chance.choice(",;"),
            "add_field_names_header": chance.randint(0, 1),
            "language": chance.choice(["en", "de", "HU"]),
            "spreadsheet": int(chance.random() < 0.1),
            **chance.choice(ORIGINS),
            **(self._by_ftp() if chance.random() < 0.35 else {"distribution_method": "local"}),
        }
        return body | ({"notification_url": house.notified.url()} if chance.random() < 0.2 else {})

    def _by_ftp(self) -> Body:
        return ftp_target(self.caller.house, self._chance.choice([None, "in", "in/of/it"]))

    def _window(self, marker: int) -> list[str]:
        """Some days of the past, or the latest changes until now."""
        days = self._chance.choice([1, 3, 10, 30, 300])
        end = datetime(2012, 1, 1, tzinfo=UTC) + timedelta(days=self._chance.randint(days, 360))
        if self._chance.random() < 0.2:
            return between(datetime.now(UTC) - timedelta(minutes=days), FUTURE, marker)
        return between(end - timedelta(days=days), end, marker)


def between(start: datetime, end: datetime, marker: int) -> list[str]:
    return [start.isoformat(), end.replace(microsecond=marker).isoformat(timespec="microseconds")]


def ftp_target(house: House, folder: str | None) -> Body:
    target = {"host": "127.0.0.1", "port": house.ftp_port, "username": "user", "password": PASSWORD}
    return {"distribution_method": "ftp", "ftp_settings": target | {"folder": folder}}


@dataclass(frozen=True)
class Window:
    """An export that the caller knows to be done, and the window in its status."""

    export_id: int
    start: datetime
    until: datetime


class Walk(threading.Thread):
    """A caller that requests one window after the other. Each begins where the last one ended."""

    def __init__(self, house: House, seed: str, start: datetime, body: Body) -> None:
        super().__init__()
        self.caller = Caller(house, f"walk by {body['distribution_method']}")
        self.windows: list[Window] = []
        self.downloads = 0
        self.body = body
        self._chance = random.Random(seed)
        self._start = start
        self._ended = threading.Event()

    def end(self) -> None:
        self._ended.set()
        self.join()

    def run(self) -> None:
        while not self._ended.is_set():
            self._one_window(self._ended)
            self._ended.wait(self._chance.random())

    def last_window(self, seconds: float) -> bool:
        """Requests the last window. Returns False if it is not done in so many seconds."""
        late = threading.Event()
        alarm = threading.Timer(seconds, late.set)
        alarm.start()
        known = len(self.windows)
        self._one_window(late)
        alarm.cancel()
        return len(self.windows) > known

    def _one_window(self, ended: threading.Event) -> None:
        start = self.windows[-1].until if self.windows else self._start
        body = self.body | {"time_range": between(start, FUTURE, next(Caller.markers)), "contact_fields": [2, 1]}
        while not ended.is_set():  # the same request is repeated until it is accepted
            export_id = self.caller.ask(body, self._server()).export_id
            if export_id is None:
                ended.wait(0.3)
                continue
            status = self._final_status(export_id, ended)
            if status is not None:
                self._note(export_id, start, status)
                return

    def _note(self, export_id: int, start: datetime, status: Mapping[str, Any]) -> None:
        if status["status"] != "done":
            self.caller.house.wrong.append(f"export {export_id} of a walk ended in error: {status['error']}")
            return
        if self.body["distribution_method"] == "local":
            self._download(export_id, status["sha256"])
        self.windows.append(Window(export_id, start, datetime.fromisoformat(status["next_from"]).astimezone(UTC)))

    def _final_status(self, export_id: int, ended: threading.Event) -> Mapping[str, Any] | None:
        while not ended.is_set():
            answer = self.caller.call("GET", f"/api/v2/export/{export_id}", first=self._server())
            if answer is not None and answer.status_code == 200:
                status: Mapping[str, Any] = answer.json()["data"]
                if status["status"] in {"done", "error"}:
                    return status
            elif answer is not None and answer.status_code not in {429, 503}:
                self.caller.house.wrong.append(f"status of accepted export {export_id}: {answer.text[:200]}")
                return None
            ended.wait(0.2)
        return None

    def _download(self, export_id: int, sha256: str) -> None:
        """Downloads once. A download that a fault ends is not retried."""
        with contextlib.suppress(requests.RequestException):
            answer = self.caller.call("GET", f"/api/v2/export/{export_id}/data", first=self._server())
            if answer is not None and answer.status_code == 200:
                self.downloads += 1
                if hashlib.sha256(answer.content).hexdigest() != sha256:
                    self.caller.house.wrong.append(f"the download of export {export_id} is not its file")

    def _server(self) -> int:
        return self._chance.randrange(SERVERS)
