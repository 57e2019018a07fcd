"""Two servers and three workers under load: what both tell at /metrics is what SQL and the client have counted."""

from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import pytest
import requests

from contactexport.context import Context
from contactexport.queue.publisher import QUEUES
from tests.support import ftp_hosts
from tests.support.exporting import PASSWORD, REQUIRED_ONLY, contact_changed, execute
from tests.support.invariants import wait_until_final
from tests.support.notification_receiver import receiver, status
from tests.support.processes import Server, server, worker
from tests.support.scraped import HAS_PROMTOOL, Scraped, checked_by_promtool, scraped
from tests.support.served import wait_until

HOSTS = {"METRICS_HOSTS": "127.0.0.1"}
# Of one kind: how many are done, and at most so much of what.
AT_MOST = """
    SELECT count(*) AS number FROM export WHERE status = 'done' AND settings ->> 'origin' = %s
    AND settings ->> 'distribution_method' = %s AND {} <= %s"""
SIZES = {
    "export_rows": "rows",
    "export_bytes": "bytes",
    "export_duration_seconds": "extract(epoch FROM finished_at - created_at)",
}


class Client:
    """Sends requests to the servers in turn, and counts the answers."""

    def __init__(self, servers: list[Server]) -> None:
        self._servers = servers
        self.counted: Counter[tuple[str, int, str, str]] = Counter()
        self._sent = 0

    def send(self, route: str, path: str, body: object = None, token: str | None = None) -> requests.Response:
        self._sent += 1
        to = self._servers[self._sent % len(self._servers)]
        headers = {"Authorization": f"Bearer {token or to.token}"}
        method = route.split()[0]
        answer = requests.request(method, to.url + path, json=body, headers=headers, timeout=60)
        is_json = answer.headers["Content-Type"] == "application/json"
        reply_code = str(answer.json()["replyCode"]) if is_json else ""
        self.counted[route, answer.status_code, reply_code, to.url] += 1
        return answer

    def ask(self, **changes: object) -> int | None:
        body = REQUIRED_ONLY | changes
        answer = self.send("POST /api/v2/contact/getchanges", "/api/v2/contact/getchanges", body)
        return answer.json()["data"]["id"] if answer.status_code == 200 else None


def scrape(one: Server) -> Scraped:
    return scraped(requests.get(one.url + "/metrics", timeout=60).text)


def counted(context: Context, statement: str, *parameters: object) -> dict[str, float]:
    return {row["label"]: row["number"] for row in execute(context, statement, parameters)}


@pytest.mark.slow
def test_both_servers_tell_what_was_counted_otherwise(context: Context, tmp_path: Path):
    for number in range(40):
        contact_changed(context, first_name="x" * number)
    with ExitStack() as opened:
        port, _ = opened.enter_context(ftp_hosts.serving(tmp_path / "ftp"))
        glad = opened.enter_context(receiver())
        sorry = opened.enter_context(receiver(status(500)))
        servers = [opened.enter_context(server(context, **HOSTS)) for _ in range(2)]
        for _ in range(3):
            opened.enter_context(worker(context, concurrency=2))
        client = Client(servers)
        ftp = {"host": "127.0.0.1", "port": port, "username": "user", "password": PASSWORD, "folder": "in"}
        accepted = [client.ask(language=language) for language in ("en", "de", "fr", "es", "it", "nl")]
        accepted += [client.ask(origin="all", origin_id=0, delimiter=delimiter) for delimiter in (",", ";")]
        by_ftp = {"distribution_method": "ftp", "ftp_settings": ftp}
        accepted += [client.ask(**by_ftp, language=language) for language in ("en", "de", "fr")]
        refused = by_ftp | {"ftp_settings": ftp | {"password": "wrong"}}
        failing = client.ask(**refused, delimiter=";")
        accepted += [client.ask(notification_url=glad.url(), add_field_names_header=1)]
        accepted += [client.ask(notification_url=sorry.url(), add_field_names_header=1, delimiter=";")]
        for export_id in accepted:
            wait_until_final(context, export_id)
        failed = "SELECT deliveries FROM export WHERE id = %s"
        wait_until(lambda: execute(context, failed, (failing,))[0]["deliveries"], "a delivery has failed")
        wait_until(lambda: glad.received and sorry.received, "both receivers were called")
        noted = "SELECT id FROM export WHERE notify_error IS NOT NULL"
        wait_until(lambda: execute(context, noted), "the failure is noted")
        for number in range(20):
            client.send("GET /api/v2/export/<export_id>", f"/api/v2/export/{accepted[0]}")
            client.send("GET /api/v2/export/<export_id>", f"/api/v2/export/99{number}")
            client.send("GET /api/v2/export/<export_id>/data", f"/api/v2/export/{accepted[0]}/data")
            client.send("GET /api/v2/field", "/api/v2/field", token="nobody's")
        client.send("POST /api/v2/contact/getchanges", "/api/v2/contact/getchanges", {"origin": "moon"})
        seen = [scrape(one) for one in servers]
        _compare_requests(client, servers, seen)
        execute(context, "ANALYZE")
        for one in map(scrape, servers):
            _compare_exports(context, one)
            _compare_rest(context, one)


def _compare_requests(client: Client, servers: list[Server], seen: list[Scraped]) -> None:
    assert len({route for route, *_ in client.counted}) == 4
    for (route, http, reply_code, url), number in client.counted.items():
        for one, figures in zip(servers, seen, strict=True):
            if one.url == url:
                assert figures("requests_total", route=route, http=http, reply_code=reply_code) == number, route
    for route in {route for route, *_ in client.counted}:
        both = sum(figures("request_seconds_count", route=route) for figures in seen)
        assert both == sum(number for key, number in client.counted.items() if key[0] == route)
        assert both == sum(figures("request_seconds_bucket", route=route, le="+Inf") for figures in seen)


def _compare_exports(context: Context, seen: Scraped) -> None:
    statuses = counted(context, "SELECT status AS label, count(*) AS number FROM export GROUP BY 1")
    assert statuses["done"] == 13
    assert {name: number for name, number in seen.all("exports", "status").items() if number} == statuses
    for kind in execute(
        context, "SELECT DISTINCT settings ->> 'origin' AS o, settings ->> 'distribution_method' AS m FROM export"
    ):
        labels = {"origin": kind["o"], "method": kind["m"]}
        done = execute(context, AT_MOST.format("0"), (kind["o"], kind["m"], 0))[0]["number"]
        assert seen("exports_ended_total", **labels, status="done") == done
        for name, value in SIZES.items():
            assert seen(f"{name}_count", **labels) == done
            bounds = [dict(found)["le"] for one, found in seen.samples if one == f"contactexport_{name}_bucket"]
            for bound in set(bounds) - {"+Inf"}:
                truth = execute(context, AT_MOST.format(value), (kind["o"], kind["m"], float(bound)))[0]["number"]
                assert seen(f"{name}_bucket", **labels, le=bound) == truth, (name, bound)
    assert execute(context, "SELECT sum(rows) AS s FROM export WHERE status = 'done'")[0]["s"] == sum(
        seen.all("export_rows_sum", "origin").values()
    )


def _compare_rest(context: Context, seen: Scraped) -> None:
    delivered = execute(
        context, "SELECT count(*) AS n FROM export WHERE status = 'done' AND settings ->> 'distribution_method' = 'ftp'"
    )[0]["n"]
    attempts = execute(context, "SELECT sum(jsonb_array_length(deliveries)) AS n FROM export")[0]["n"]
    assert seen("deliveries_total", method="ftp", result="ok") == delivered == 3
    assert seen("deliveries_total", method="ftp", result="failed") == attempts - delivered >= 1
    assert seen("notifications_total", about="export", result="ok") == 1
    assert seen("notifications_total", about="export", result="failed") == 1
    assert seen("notifications_waiting") == 1
    assert seen("workers_alive") == 3
    assert seen("worker_processes") == 6
    assert seen.all("queue_workers", "queue") == dict.fromkeys(QUEUES, 3)
    assert 0 <= seen("sweep_age_seconds") < 60
    rows = execute(
        context, "SELECT (SELECT count(*) FROM contact_change) + (SELECT count(*) FROM contact_removal) AS n"
    )
    assert seen("log_rows") == rows[0]["n"] >= 80
    assert seen("log_bytes") > 0
    assert seen("storage_size_bytes") > seen("storage_free_bytes") > 0
    if HAS_PROMTOOL:
        checked_by_promtool(seen.text)
