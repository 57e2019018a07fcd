"""`make serve`: runs the whole service with sample contacts, for exploring."""

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
from contactexport.embedded.local_service import CommandFailed, LocalService
from contactexport.errors import ContactExportError
from contactexport.settings import PREFIX

CONTACTS = 100_000
USER = "explorer"


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs until Ctrl-C. Data stays under CONTACTEXPORT_DATA_DIR, or var/. Returns the exit code."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--port", type=int, default=8025, help="port of the API")
    parser.add_argument("--contacts", type=int, default=CONTACTS, help="sample contacts to make at the first start")
    data_dir = Path(os.environ.get(f"{PREFIX}DATA_DIR") or "var").expanduser()
    parser.add_argument("--data-dir", type=Path, default=data_dir, help="folder of the data")
    chosen = parser.parse_args(arguments)
    service = LocalService(chosen.data_dir.absolute(), chosen.port)
    # Each of them ends this process and what it has started. In the background a shell would ignore SIGINT.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    try:
        serve_lock.require_free_port("127.0.0.1", chosen.port)
        with serve_lock.held(service.data_dir):
            service.flask("db", "upgrade")
            if not (service.data_dir / "sampled").exists():
                say(f"making {chosen.contacts:,} sample contacts")
                say(service.flask("contacts", "sample", "--contacts", str(chosen.contacts)).strip())
                (service.data_dir / "sampled").touch()
        with service.serving_with_link() as (process, link), contextlib.suppress(KeyboardInterrupt):
            # Only now: a second start that fails must not replace the token of the running service.
            known = any(user["name"] == USER for user in json.loads(service.flask("users", "list", "--json")))
            created = service.flask("users", "rotate" if known else "add", USER, "--token", "--json")
            say(_instructions(service, json.loads(created)["token"], link))
            process.wait()
    except CommandFailed as failed:
        if failed.exit_code < 0:
            say(f"Error: {failed.text}")
        return 1
    except ContactExportError as error:
        say(f"Error: {error.text}")
        return error.exit_code
    return 0


def _instructions(service: LocalService, token: str, link: str) -> str:
    url = f"http://127.0.0.1:{service.port}/api/v2"
    return f"""
Look at the console (the link signs in once, as the user operator):
  {link}
Ask for an export:
  curl -H 'Authorization: Bearer {token}' {url}/contact/getchanges -d '{json.dumps(LOCAL_EXAMPLE)}'
See its status (replace 1 by its id):
  curl -H 'Authorization: Bearer {token}' {url}/export/1
The API is described at http://127.0.0.1:{service.port}/docs.
Finished files are in {service.data_dir / "exports"}. Ctrl-C stops everything.
"""


if __name__ == "__main__":
    sys.exit(main())
