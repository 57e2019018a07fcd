"""`make serve`: the whole service with sample contacts, kept running for exploring."""

import argparse
import contextlib
import json
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from contactexport.embedded.demo import LOCAL_EXAMPLE, say
from contactexport.embedded.local_service import PROJECT, LocalService
from contactexport.errors import ContactExportError

CONTACTS = 100_000
USER = "explorer"


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs until Ctrl-C; data stays under var/. Returns the exit code."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--port", type=int, default=8025, help="port of the API")
    parser.add_argument("--contacts", type=int, default=CONTACTS, help="sample contacts to make at the first start")
    parser.add_argument("--data-dir", type=Path, default=PROJECT / "var", help="folder of the data")
    chosen = parser.parse_args(arguments)
    service = LocalService(chosen.data_dir.absolute(), chosen.port)
    _end_on_signals()
    try:
        _prepare(service, chosen.contacts)
        token = _new_token(service)
        with service.serving() as process, contextlib.suppress(KeyboardInterrupt):
            say(_instructions(service, token))
            process.wait()
    except ContactExportError as error:
        say(f"FAILED: {error.text}")
        return 1
    return 0


def _end_on_signals() -> None:
    """Ctrl-C, SIGTERM and a closed terminal end us with what we have started, also when begun in the background,
    where a shell lets SIGINT be ignored.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)


def _prepare(service: LocalService, contacts: int) -> None:
    service.flask("db", "upgrade")
    if not (service.data_dir / "sampled").exists():
        say(f"making {contacts:,} sample contacts")
        say(service.flask("contacts", "sample", "--contacts", str(contacts)).strip())
        (service.data_dir / "sampled").touch()


def _new_token(service: LocalService) -> str:
    known = any(user["name"] == USER for user in json.loads(service.flask("users", "list", "--json")))
    verb = "rotate" if known else "add"
    token: str = json.loads(service.flask("users", verb, USER, "--token", "--json"))["token"]
    return token


def _instructions(service: LocalService, token: str) -> str:
    url = f"http://127.0.0.1:{service.port}/api/v2"
    return f"""
Ask for an export:
  curl -H 'Authorization: Bearer {token}' {url}/contact/getchanges -d '{json.dumps(LOCAL_EXAMPLE)}'
See how it is doing (put the id in):
  curl -H 'Authorization: Bearer {token}' {url}/export/1
Finished files lie in {service.data_dir / "exports"}. Ctrl-C stops everything.
"""


if __name__ == "__main__":
    sys.exit(main())
