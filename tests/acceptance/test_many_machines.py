"""docs/many-machines.md, followed word by word on machines in network namespaces, with a failover in the middle."""

import re
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import obstore
import pytest
import requests
from obstore.store import S3Store

from tests.support.filled_year import BEGIN, FILL, expected, rows_of
from tests.support.machines import TEST, Machines, machines
from tests.support.object_stores import Store, seaweedfs
from tests.support.served import EXAMPLE, GETCHANGES, PROJECT, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

PAGE = (PROJECT / "docs" / "many-machines.md").read_text(encoding="utf-8")
BLOCK = re.compile(
    r"^```sh\n# (?P<where>[^,\n]+), as (?P<user>\w+)(?:, for (?P<only>\w+))?\n(?P<script>.*?)^```", re.M | re.S
)
FAILOVER = "## When the primary dies"
EXPORTS = 200
BUCKET = "contactexport"
CONTACTS = 2000
WINDOW = timedelta(days=10)
# The first answers are errors, until the node has a name.
STARTED = "rabbitmq-server -detached; for n in {1..60}; do rabbitmqctl await_startup && break; sleep 1; done"
BROKERS = {"RabbitMQ": "rabbitmq-server", "Redis": "redis-server"}


@dataclass
class Load:
    """What was sent. Only a request that was answered counts as accepted, any other is sent again."""

    accepted: dict[int, datetime] = field(default_factory=dict)
    unanswered: list[datetime] = field(default_factory=list)
    refused: int = 0
    wrong: list[str] = field(default_factory=list)


@pytest.fixture(params=["RabbitMQ and a folder", "Redis and S3"])
def chosen(request) -> set[str]:
    """The words that blocks are for."""
    words = set(request.param.split(" and "))
    for name in words & set(BROKERS):
        if shutil.which(BROKERS[name], path="/usr/sbin:/usr/bin") is None:
            pytest.skip(f"{BROKERS[name]} is not installed")
    return words


@pytest.fixture
def lan(chosen: set[str]) -> Iterator[Machines]:
    with machines("db-1", "db-2", "broker", "app-1", "app-2") as made:
        if "RabbitMQ" in chosen:  # as the package of Debian does
            made.run("broker", "root", STARTED)
        if "S3" not in chosen:
            yield made
            return
        with seaweedfs(TEST) as store:
            store.make_bucket(BUCKET)
            made.further = {
                "https://s3.example.com": store.environment["AWS_ENDPOINT_URL"],
                "SECRET-KEY": store.environment["AWS_SECRET_ACCESS_KEY"],
                "KEY-ID": store.environment["AWS_ACCESS_KEY_ID"],
            }
            made.files = lambda: sorted(objects(store))
            yield made


def test_page_has_blocks_for_every_machine():
    blocks = list(BLOCK.finditer(PAGE))
    assert len(blocks) == PAGE.count("```sh\n")
    assert {name for block in blocks for name in block["where"].split(" and ")} == {
        "db-1", "db-2", "broker", "app-1", "app-2",
    }  # fmt: skip


def test_guide_leads_to_machines_that_lose_nothing_in_a_failover(lan: Machines, chosen: set[str]):
    before, _heading, after = PAGE.partition(FAILOVER)
    printed = follow(lan, before, chosen)
    token = re.findall(r"cx_[\w-]+", printed)[-1]
    lan.run("app-1", "root", fill(lan))
    load = Load()
    clients = [threading.Thread(target=send, args=(lan, load, token, number), daemon=True) for number in range(2)]
    for client in clients:
        client.start()
    wait_until(lambda: bool(load.wrong) or len(load.accepted) >= EXPORTS * 0.4, "the first exports are accepted", 300)

    lan.kill("db-1")
    follow(lan, after, chosen)

    for client in clients:
        client.join(timeout=400)
        assert not client.is_alive()
    assert load.wrong == []
    assert len(load.accepted) == EXPORTS
    headers = {"Authorization": f"Bearer {token}"}
    for export_id, start in load.accepted.items():
        finished = wait_for(lan, export_id, headers)
        assert finished["status"] == "done", finished
        name = f"app-{export_id % 2 + 1}"
        file = requests.get(f"{url(lan, name)}/api/v2/export/{export_id}/data", headers=headers, timeout=30)
        assert rows_of(file) == expected(start, WINDOW, CONTACTS), export_id
    require_none_twice(lan, load)


def objects(store: Store) -> list[str]:
    """The names in the bucket."""
    config = {name.lower(): value for name, value in store.environment.items() if name != "AWS_ENDPOINT_URL"}
    bucket = S3Store(
        BUCKET, prefix="files", config=config | {"aws_endpoint": store.environment["AWS_ENDPOINT_URL"]},
        client_options={"allow_http": True},
    )  # fmt: skip
    names = [found["path"] for batch in obstore.list(bucket) for found in batch]
    return [name for name in names if not name.startswith(".")]


def follow(lan: Machines, text: str, chosen: set[str]) -> str:
    """Runs the blocks of the page in their order. Returns what they print."""
    printed = []
    for block in BLOCK.finditer(text):
        if block["only"] is None or block["only"] in chosen:
            printed += [lan.run(name, block["user"], block["script"]) for name in block["where"].split(" and ")]
        if (
            "/etc/contactexport/secret-key" in block["script"] and "openssl" in block["script"]
        ):  # "copy it to the others"
            shutil.copy(lan.folder / "app-1" / "etc" / "secret-key", lan.folder / "app-2" / "etc" / "secret-key")
    return "".join(printed)


def fill(lan: Machines) -> str:
    statements = FILL.format(contacts=CONTACTS)
    return (
        f"psql --quiet --set ON_ERROR_STOP=1 \"$(cat {lan.folder}/app-1/etc/database-url)\" <<'END'\n{statements}\nEND"
    )


def send(lan: Machines, load: Load, token: str, number: int) -> None:
    """Every second export of the load, each until it is accepted, by turns to both machines."""
    headers = {"Authorization": f"Bearer {token}"}
    tries = 0
    for export in range(number, EXPORTS, 2):
        start = BEGIN + timedelta(hours=export)
        body = EXAMPLE | {
            "time_range": [start.isoformat(), (start + WINDOW).isoformat()],
            "contact_fields": ["1", "3"],
        }
        give_up = time.monotonic() + 300
        while start not in load.accepted.values():
            tries += 1
            to = url(lan, f"app-{tries % 2 + 1}") + GETCHANGES
            try:
                answer = requests.post(to, json=body, headers=headers, timeout=30)
            except requests.RequestException:
                load.unanswered.append(start)
                continue
            known = answer.json()
            if answer.status_code == 200 or (known["replyCode"] == 4001 and start in load.unanswered):
                load.accepted[int(known["data"]["id"])] = start
            elif answer.status_code in {429, 503} and time.monotonic() < give_up:
                load.refused += 1
                if answer.status_code == 503:
                    load.unanswered.append(start)  # the connection may have died right after the commit
                time.sleep(0.5)
            else:
                load.wrong.append(f"{to}: {answer.status_code} {answer.text}")
                return


def wait_for(lan: Machines, export_id: int, headers: dict[str, str]) -> dict[str, object]:
    give_up = time.monotonic() + 300
    status: dict[str, object] = {}
    while time.monotonic() < give_up and status.get("status") not in {"done", "error"}:
        with suppress(requests.RequestException):
            status = requests.get(f"{url(lan, 'app-1')}/api/v2/export/{export_id}", headers=headers, timeout=30).json()[
                "data"
            ]
        if status.get("status") not in {"done", "error"}:
            time.sleep(0.2)
    return status


def require_none_twice(lan: Machines, load: Load) -> None:
    """Each accepted export has one row and one valid file. Only a request without an answer may have led to another.

    In an object store a dead attempt may have left an object, which counts for nothing until a sweep deletes it.
    """
    statement = "SELECT id, file_name, coalesce(stored_as, file_name) FROM export ORDER BY id"
    asked = f'psql --no-align --tuples-only --field-separator " " "$(cat {lan.folder}/app-2/etc/database-url)"'
    rows = [line.split() for line in lan.run("app-2", "root", f"{asked} --command '{statement}'").splitlines()]
    assert {str(export_id) for export_id in load.accepted} <= {row[0] for row in rows}
    assert len(rows) <= EXPORTS + len(load.unanswered)
    valid, files = {row[2] for row in rows}, lan.files()
    assert valid <= set(files)
    left = [name for name in files if name not in valid]
    assert {name.rpartition(".")[0] for name in left} <= {row[1] for row in rows} - valid


def url(lan: Machines, name: str) -> str:
    return f"http://{lan.addresses[name]}:8025"
