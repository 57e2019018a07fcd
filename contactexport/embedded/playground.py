"""`make serve`: the whole service with sample contacts, kept running for exploring."""

import argparse
import contextlib
import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from contactexport.embedded import serve_lock
from contactexport.embedded.demo import LOCAL_EXAMPLE, say
from contactexport.embedded.local_service import PROJECT, CommandFailed, LocalService
from contactexport.errors import ContactExportError
from contactexport.settings import PREFIX

CONTACTS = 100_000
USER = "explorer"


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs until Ctrl-C; data stays under CONTACTEXPORT_DATA_DIR, or var/. Returns the exit code."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--port", type=int, default=8025, help="port of the API")
    parser.add_argument("--contacts", type=int, default=CONTACTS, help="sample contacts to make at the first start")
    parser.add_argument("--data-dir", type=Path, default=_data_dir(), help="folder of the data")
    chosen = parser.parse_args(arguments)
    service = LocalService(chosen.data_dir.absolute(), chosen.port)
    _end_on_signals()
    try:
        serve_lock.require_free_port("127.0.0.1", chosen.port)
        with serve_lock.held(service.data_dir):
            _prepare(service, chosen.contacts)
        with service.serving() as process, contextlib.suppress(KeyboardInterrupt):
            # Not before: one that cannot be served here must not replace the token of the one that is.
            say(_instructions(service, _new_token(service)))
            process.wait()
    except CommandFailed as failed:
        if failed.exit_code < 0:
            say(f"Error: {failed.text}")
        return 1
    except ContactExportError as error:
        say(f"Error: {error.text}")
        return error.exit_code
    return 0


def _data_dir() -> Path:
    return Path(os.environ.get(f"{PREFIX}DATA_DIR") or PROJECT / "var").expanduser()


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
