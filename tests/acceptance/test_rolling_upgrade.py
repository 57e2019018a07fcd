"""From 0.1.0 to this version while clients post, poll and download: nothing is refused, nothing is lost."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

import psycopg2
import pytest
import requests

from contactexport.context import Context
from tests.support import brokers
from tests.support.empty_databases import empty_database
from tests.support.exporting import execute
from tests.support.filled_year import BEGIN, FILL, expected, rows_of
from tests.support.installations import Installation, ended_at_last, frozen_tree
from tests.support.processes import Process, server_command, worker_command
from tests.support.served import EXAMPLE, GETCHANGES, PROJECT, free_port, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

CONTACTS = 2000
WINDOW = timedelta(days=20)
STILL_IN_USE = 3  # exit code of `flask db upgrade` that found the log in use
SETTINGS = {
    "ENV": "testing",
    "EXPORTS_PER_USER": "100000",
    "REQUESTS_PER_MINUTE": "100000",
    "RUNNING_PER_USER": "100",
    "PARALLEL_READERS": "1",
}


class Client(threading.Thread):
    """Posts exports of windows that nobody else asks for, each to the next server of the rotation."""

    def __init__(self, name: str, token: str, rotation: Callable[[], list[str]], first: int) -> None:
        super().__init__(name=name, daemon=True)
        self.credentials = {"Authorization": f"Bearer {token}"}
        self.rotation = rotation
        self.first = first
        self.wrong: list[str] = []
        self.accepted: dict[int, datetime] = {}
        self.servers: list[str] = []
        self.ended = threading.Event()

    def run(self) -> None:
        number = self.first
        while not self.ended.wait(0.3):
            servers = self.rotation()
            if not servers:
                self.wrong.append(f"{self.name}: no server for request {number}")
                continue
            number += 1
            server = servers[number % len(servers)]
            start = BEGIN + timedelta(minutes=number)
            try:
                self._post(server, start)
                if number % 3 == 0:
                    self._poll(server, list(self.accepted)[number % len(self.accepted)])
            except (requests.RequestException, KeyError) as error:
                self.wrong.append(f"{self.name}: {server}: {error!r}")

    def _post(self, server: str, start: datetime) -> None:
        body = EXAMPLE | {
            "time_range": [start.isoformat(), (start + WINDOW).isoformat()],
            "contact_fields": ["1", "3"],
        }
        answer = requests.post(server + GETCHANGES, json=body, headers=self.credentials, timeout=30)
        if answer.status_code != 200:
            self.wrong.append(f"{self.name}: {server}: {answer.status_code} {answer.text}")
            return
        self.accepted[int(answer.json()["data"]["id"])] = start
        self.servers.append(server)

    def _poll(self, server: str, export_id: int) -> None:
        answer = requests.get(f"{server}/api/v2/export/{export_id}", headers=self.credentials, timeout=30)
        if answer.status_code != 200 or answer.json()["data"]["status"] == "error":
            self.wrong.append(f"{self.name}: {server}: {answer.status_code} {answer.text}")

    def end(self) -> None:
        self.ended.set()
        self.join(timeout=60)


class Proxy(threading.Thread):
    """Asks all servers for their health, like a proxy. `ready` are those that answered 200 the last time."""

    def __init__(self, path: str) -> None:
        super().__init__(daemon=True)
        self.path = path
        self.servers: list[str] = []
        self.ready: list[str] = []

    def run(self) -> None:
        while True:
            self.ready = [server for server in list(self.servers) if answers(server + self.path)]
            time.sleep(0.1)


def answers(url: str) -> bool:
    with suppress(requests.RequestException):
        return requests.get(url, timeout=5).status_code == 200
    return False


class Writer(threading.Thread):
    """Adds contacts to form 124. Each is noted in the same transaction."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self.url = url
        self.ended = threading.Event()

    def run(self) -> None:
        conn = psycopg2.connect(self.url)
        token = 0
        while not self.ended.wait(0.1):
            token += 1
            with conn, conn.cursor() as cursor:
                cursor.execute(
                    "INSERT INTO contact (origin_kind, origin_id, first_name) VALUES ('form', 124, %s)", (str(token),)
                )
                cursor.execute("INSERT INTO written (token) VALUES (%s)", (token,))
        conn.close()


@pytest.fixture(params=[brokers.FOLDERS, "rabbitmq"])
def behind_broker(request, context: Context) -> Iterator[Context]:
    with brokers.behind(request.param, context) as made, empty_database(made, f"rolling_{free_port()}") as fresh:
        yield fresh


@pytest.fixture
def versions(behind_broker: Context, tmp_path: Path) -> Iterator[tuple[Installation, Installation]]:
    """0.1.0 and this version, with one database, one broker and one storage folder."""
    settings = SETTINGS | {
        "DATABASE_URL": behind_broker.database.url,
        "DATA_DIR": str(tmp_path / "data"),
    }
    if behind_broker.settings.broker_url:
        settings["BROKER_URL"] = behind_broker.settings.broker_url
    made = [Installation(tree, tmp_path, settings) for tree in (frozen_tree(tmp_path / "old"), PROJECT)]
    with ended_at_last(*made):
        yield made[0], made[1]


def test_upgrade_under_load_refuses_and_loses_nothing(versions, behind_broker: Context, tmp_path: Path):
    old, new = versions
    assert "0009" in old.run("flask", "db", "upgrade").stdout
    old.run("flask", "contacts", "sample", "--contacts", "0")
    execute(behind_broker, FILL.format(contacts=CONTACTS))
    execute(behind_broker, "CREATE TABLE written (token bigint PRIMARY KEY)")
    token = json.loads(old.run("flask", "users", "add", "tester", "--token", "--json").stdout)["token"]
    by_ready, by_alive = Proxy("/readyz"), Proxy("/healthz")
    old_servers = {url: start_server(old, f"old-server-{n}", url) for n, url in enumerate(two_urls())}
    old_workers = [start_worker(old, f"old-worker-{number}") for number in range(2)]
    by_ready.servers += old_servers
    by_alive.servers += old_servers
    wait_until(lambda: all(answers(url + "/readyz") for url in old_servers), "the old servers are ready")
    by_ready.start()
    by_alive.start()
    wait_until(lambda: len(by_ready.ready) == len(by_alive.ready) == 2, "the proxies know both servers")
    clients = [
        Client("client by readyz", token, lambda: by_ready.ready, 0),
        Client("client by healthz", token, lambda: by_alive.ready, 100_000),
    ]
    writer = Writer(behind_broker.database.url)
    for thread in (*clients, writer):
        thread.start()
    wait_until(lambda: all(len(client.accepted) > 10 for client in clients), "the old version works")

    # New servers first: they become ready in the moment in which the old ones no longer are.
    new_servers = {url: start_server(new, f"new-server-{n}", url) for n, url in enumerate(two_urls())}
    wait_until(lambda: all(answers(url + "/healthz") for url in new_servers), "the new servers answer")
    assert not any(answers(url + "/readyz") for url in new_servers), "their schema is not there yet"
    by_ready.servers += new_servers
    wait_until(lambda: upgraded(new), "the schema is upgraded")
    wait_until(lambda: set(by_ready.ready) == set(new_servers), "the proxy has moved on")
    by_alive.servers += new_servers
    new_workers = [start_worker(new, f"new-worker-{number}") for number in range(2)]
    workers = [*old_workers, *new_workers]
    before = [claims(worker) for worker in workers]
    wait_until(
        lambda: all(claims(worker) > had + 3 for worker, had in zip(workers, before, strict=True)),
        "workers of both versions work beside each other",
    )
    seen = len(clients[1].servers)
    wait_until(
        lambda: set(clients[1].servers[seen:]) == {*old_servers, *new_servers}, "servers of both versions accept"
    )

    newer = [ask_for_removed(next(iter(new_servers)), clients[0].credentials, number) for number in range(6)]
    new.run("flask", "feeds", "add", "nightly", "--origin", "form", "--origin-id", "123", "--fields", "1,3")
    asked = requests.post(
        f"{next(iter(new_servers))}/api/v2/feed/nightly/run", headers=clients[0].credentials, timeout=30
    )
    assert asked.status_code == 200, asked.text
    wait_until(lambda: done(behind_broker, newer), "exports that only this version knows are done, all the same")
    wait_until(lambda: runs_of_feeds(behind_broker) == [("done", 1)], "the run of the feed is done")

    for worker in old_workers:
        assert worker.stop() == 0
    for url, server in old_servers.items():
        by_alive.servers.remove(url)
        by_ready.servers.remove(url)
        wait_until(lambda url=url: url not in by_alive.ready, "it is out of the rotation")
        time.sleep(1)  # requests that were on their way
        assert server.stop() == 0
    seen = [len(client.accepted) for client in clients]
    wait_until(
        lambda: all(len(client.accepted) > had + 10 for client, had in zip(clients, seen, strict=True)),
        "the new version works alone",
    )
    for client in clients:
        client.end()
    writer.ended.set()
    writer.join(timeout=30)

    assert [client.wrong for client in clients] == [[], []]
    accepted = clients[0].accepted | clients[1].accepted
    wait_until(lambda: unfinished(behind_broker) == 0, "all exports are done")
    found = execute(behind_broker, "SELECT id FROM export WHERE feed_id IS NULL ORDER BY id")
    assert [row["id"] for row in found] == sorted([*accepted, *newer])
    assert execute(behind_broker, "SELECT DISTINCT status, error FROM export") == [{"status": "done", "error": None}]
    server = next(iter(new_servers))
    for export_id, start in accepted.items():
        assert downloaded(server, export_id, clients[0].credentials) == expected(start, WINDOW, CONTACTS), export_id
    for number, export_id in enumerate(newer):
        rows = downloaded(server, export_id, clients[0].credentials)
        assert rows == [[*row, "changed"] for row in expected(BEGIN + timedelta(seconds=number), WINDOW, CONTACTS)]
    some = sorted(accepted)[:: len(accepted) // 20]
    assert {manifest(server, export_id, clients[0].credentials) for export_id in some} == {200, 410}
    logged = execute(behind_broker, "SELECT count(*) AS n FROM contact_change WHERE origin_id = 124")
    assert logged == execute(behind_broker, "SELECT count(*) AS n FROM written")
    assert not list((tmp_path / "data" / "exports").glob("*.part"))


def two_urls() -> list[str]:
    return [f"http://127.0.0.1:{free_port()}" for _ in range(2)]


def start_server(version: Installation, name: str, url: str) -> Process:
    port = int(url.rpartition(":")[2])
    return version.start(name, *server_command(port), DRAIN_SECONDS="1", WEB_CONCURRENCY="1")


def start_worker(version: Installation, name: str) -> Process:
    return version.start(name, *worker_command(2))


def upgraded(version: Installation) -> bool:
    """Runs the upgrade. It gives up at once while an export or a writer uses the log, and changes nothing then."""
    return version.run("flask", "db", "upgrade", accept=(0, STILL_IN_USE)).returncode == 0


def claims(worker: Process) -> int:
    return worker.log.read_text().count("export claimed")


def ask_for_removed(server: str, credentials: dict[str, str], number: int) -> int:
    start = BEGIN + timedelta(seconds=number)
    body = EXAMPLE | {
        "time_range": [start.isoformat(), (start + WINDOW).isoformat()],
        "contact_fields": ["1", "3"],
        "removed": 1,
        "may_be_incomplete": 1,
    }
    answer = requests.post(server + GETCHANGES, json=body, headers=credentials, timeout=30)
    assert answer.status_code == 200, answer.text
    return int(answer.json()["data"]["id"])


def done(context: Context, ids: list[int]) -> bool:
    found = execute(context, "SELECT status, error FROM export WHERE id = ANY (%s)", (ids,))
    assert all(row["status"] != "error" for row in found), found
    return all(row["status"] == "done" for row in found)


def runs_of_feeds(context: Context) -> list[tuple[str, int]]:
    found = execute(
        context,
        "SELECT e.status, f.sequence FROM export AS e JOIN feed AS f ON f.id = e.feed_id"
        " WHERE f.cursor IS NOT NULL AND e.manifest IS NOT NULL",
    )
    return [(row["status"], row["sequence"]) for row in found]


def manifest(server: str, export_id: int, credentials: dict[str, str]) -> int:
    return requests.get(f"{server}/api/v2/export/{export_id}/manifest", headers=credentials, timeout=30).status_code


def unfinished(context: Context) -> int:
    return int(execute(context, "SELECT count(*) AS n FROM export WHERE finished_at IS NULL")[0]["n"])


def downloaded(server: str, export_id: int, credentials: dict[str, str]) -> list[list[str]]:
    return rows_of(requests.get(f"{server}/api/v2/export/{export_id}/data", headers=credentials, timeout=30))
