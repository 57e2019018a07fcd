"""`make serve`: the whole service with sample contacts, kept running for exploring."""

import argparse
import contextlib
import json
import sys

from contactexport.embedded.demo import LOCAL_EXAMPLE, say
from contactexport.embedded.local_service import PROJECT, LocalService
from contactexport.errors import ContactExportError

CONTACTS = 100_000
USER = "explorer"


def main() -> int:
    """Runs until Ctrl-C; data stays under var/. Returns the exit code."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--port", type=int, default=8025, help="port of the API")
    service = LocalService(PROJECT / "var", parser.parse_args().port)
    try:
        _prepare(service)
        token = _new_token(service)
        with service.serving() as process, contextlib.suppress(KeyboardInterrupt):
            say(_instructions(service, token))
            process.wait()
    except ContactExportError as error:
        say(f"FAILED: {error.text}")
        return 1
    return 0


def _prepare(service: LocalService) -> None:
    service.flask("db", "upgrade")
    if not (service.data_dir / "sampled").exists():
        say(f"making {CONTACTS:,} sample contacts")
        say(service.flask("contacts", "sample", "--contacts", str(CONTACTS)).strip())
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
