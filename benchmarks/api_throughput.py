"""Requests per second: POST getchanges and GET status against the minimum that a Flask route with Postgres can do.

    python benchmarks/api_throughput.py --scale 0.1

gunicorn serves both with config/gunicorn.py, with the same database and the same clients, in turns. The median round
counts. No worker runs meanwhile. Afterwards each accepted export must be in the database and, as a message, in the
folder of the broker.
"""

import argparse
import itertools
import statistics
from collections.abc import Callable, Sequence

import contacts
import http_load
import results
from http_load import Load, prepared
from running_server import serving

from contactexport.context import Context
from contactexport.queue.publisher import message_folders
from contactexport.users import manage

CONTACTS = 1_000
REQUESTS = 1_500
CLIENTS = 16
# At the end of a round each user has ten unfinished exports, the default limit. Then they are ended.
USERS = 150
# Higher limits than by default, for rounds of this size.
LIMITS = {"REQUESTS_PER_MINUTE": "10000", "EXPORTS_PER_USER": "1000"}

numbers = itertools.count(1)


class LostRequest(Exception):
    """A request was accepted and has left no export, or no message."""


def main() -> None:
    """Compares, prints and stores the table `api_throughput`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=1, help="1: 1,500 requests of each kind and round")
    parser.add_argument("--rounds", type=int, default=7, help="rounds of each kind")
    options = parser.parse_args()
    requests = max(round(REQUESTS * options.scale), 2 * CLIENTS)
    with (
        contacts.server() as server,
        contacts.database_of(server, CONTACTS) as filled,
        contacts.folder_of_many_files() as folder,
    ):
        context = contacts.make_context(filled.database.url, folder)
        tokens = prepared_tokens(context)
        with serving(context, "wsgi:app", **LIMITS) as ours, serving(context, "bare_app:app") as bare:
            loads = _measured(context, ours, bare, tokens, requests, options.rounds)
        _require_all(context, loads["POST getchanges"])
    _save(loads, requests, options.rounds)


def prepared_tokens(context: Context) -> list[str]:
    """Deletes all exports and users, and creates new users. Returns their tokens."""
    with context.database.transaction() as conn:
        contacts.queries().prepare_api(conn)
    users = [manage.add_user(context, f"user{n}", with_wsse=False, with_token=True) for n in range(USERS)]
    return [str(user.token) for user in users]


def _measured(
    context: Context, ours: int, bare: int, tokens: Sequence[str], requests: int, rounds: int
) -> dict[str, list[Load]]:
    """The loads of all rounds by kind."""
    kinds: dict[str, Callable[[int], Load]] = {
        "bare INSERT": lambda count: http_load.send(bare, [post("/insert", tokens) for _ in range(count)], CLIENTS),
        "POST getchanges": lambda count: http_load.send(
            ours, [post("/api/v2/contact/getchanges", tokens) for _ in range(count)], CLIENTS
        ),
        "bare SELECT": lambda count: http_load.send(bare, _gets("/select", tokens, count), CLIENTS),
        "GET export status": lambda count: http_load.send(ours, _gets("/api/v2/export", tokens, count), CLIENTS),
    }
    loads: dict[str, list[Load]] = {kind: [] for kind in kinds}
    for number in range(rounds + 1):
        for kind, load in kinds.items():
            done = load(requests if number else 2 * CLIENTS)  # the first requests open connections
            loads[kind].append(done)
        with context.database.session() as conn:
            contacts.queries().end_exports(conn)
    return loads


def post(path: str, tokens: Sequence[str]) -> bytes:
    """A request for an export. Each has another window."""
    number = next(numbers)
    body = {
        "distribution_method": "local",
        "origin": "form",
        "origin_id": str(contacts.FORM),
        "time_range": ["2012-02-09", f"2012-04-02T00:00:00.{number:06}+00:00"],
        "contact_fields": ["1", "2", "3", "5", "14"],
        "language": "en",
    }
    return prepared("POST", path, tokens[number % len(tokens)], body)


def _gets(path: str, tokens: Sequence[str], count: int) -> list[bytes]:
    return [prepared("GET", f"{path}/{1 + number % CLIENTS}", tokens[number % len(tokens)]) for number in range(count)]


def _require_all(context: Context, loads: Sequence[Load]) -> None:
    accepted = {answer["data"]["id"] for load in loads for answer in load.answers}
    messages = len(list(message_folders(context.settings.data_dir)[0].glob("*.msg")))
    with context.database.transaction() as conn:
        stored = {row["id"] for row in contacts.queries().all_exports(conn)}
    if accepted != stored or messages != len(accepted):
        raise LostRequest(f"{len(accepted)} accepted, {len(stored)} stored, {messages} messages")


def _save(loads: dict[str, list[Load]], requests: int, rounds: int) -> None:
    about = (
        f"{CLIENTS} clients that keep their connections, {requests:,} requests a round; the median of {rounds} rounds. "
        "Two processes of gunicorn; clients, gunicorn and Postgres share the machine."
    )
    compared = {"POST getchanges": ("bare INSERT", 0.4), "GET export status": ("bare SELECT", 0.7)}
    rows = [_row(kind, loads, *compared.get(kind, ("", 0))) for kind in loads]
    results.save(results.Table("api_throughput", "The API against a bare route", about, "throughput", tuple(rows)))


def _row(kind: str, loads: dict[str, list[Load]], bare: str, aim: float) -> results.Row:
    def median(kind: str, figure: Callable[[Load], float]) -> float:
        return statistics.median(figure(load) for load in loads[kind][1:])

    speed, slowest = median(kind, lambda load: load.a_second), median(kind, lambda load: load.percentile(99))
    usual = median(kind, lambda load: load.percentile(50))
    more = {"median": f"{usual * 1000:.1f} ms", "p99": f"{slowest * 1000:.1f} ms"}
    if not bare:
        return results.Row(kind, speed, "requests/s", more=more)
    more["p99 against bare"] = f"{slowest / median(bare, lambda load: load.percentile(99)):.2f}"
    ratio = speed / median(bare, lambda load: load.a_second)
    return results.Row(f"contactexport {kind}", speed, "requests/s", ratio, f"at least {aim}", more)


if __name__ == "__main__":
    main()
