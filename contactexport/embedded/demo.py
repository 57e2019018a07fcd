"""`make demo`: runs the example of the specification end to end. The exit code is not 0 if anything differs."""

import contextlib
import csv
import hashlib
import json
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from contactexport.embedded import ftp_server
from contactexport.embedded.local_service import LocalService
from contactexport.errors import ALREADY_RUNNING, ContactExportError

CONTACTS = 100_000
FTP_PORT = 1234
HTTP_PORT = 8026
SECONDS_AN_EXPORT = 60.0
FIRST_LINES = 4

# The request example of the specification. Only the host differs.
EXAMPLE: dict[str, Any] = {
    "distribution_method": "ftp",
    "origin": "form",
    "origin_id": "123",
    "time_range": ["2012-02-09", "2012-04-02"],
    "contact_fields": ["1", "3", "106533"],
    "delimiter": ";",
    "add_field_names_header": 1,
    "language": "en",
    "ftp_settings": {
        "host": "127.0.0.1",
        "port": "1234",
        "username": "user",
        "password": "pass",
        "folder": "path/of/a/folder",
    },
}
LOCAL_EXAMPLE = {key: value for key, value in EXAMPLE.items() if key != "ftp_settings"} | {
    "distribution_method": "local"
}


def main(
    data_dir: Path = Path("var", "demo"),
    *,
    contacts: int = CONTACTS,
    http_port: int = HTTP_PORT,
    ftp_port: int = FTP_PORT,
    afterwards: Callable[[LocalService, str], None] = lambda *_: None,
) -> int:
    """Runs the demo in a new folder and deletes the folder. Returns the exit code.

    `afterwards` is called while all still runs, with the service and a link that signs in to its console once.
    """
    started = time.monotonic()
    shutil.rmtree(data_dir, ignore_errors=True)
    service = LocalService(data_dir, http_port, {"LOG_LEVEL": "WARNING"})
    try:
        with tempfile.TemporaryDirectory() as received:
            _run(service, Path(received), contacts, ftp_port, afterwards)
    except ContactExportError as error:
        say(f"\nFAILED: {error.text}")
        return 1
    finally:
        service.flask("db", "stop")
        shutil.rmtree(data_dir, ignore_errors=True)
    say(f"\nEverything is as expected. {time.monotonic() - started:.1f} s in all.")
    return 0


def say(text: str) -> None:
    """Prints a line at once, so that it is in order with the lines of the processes."""
    print(text, flush=True)


def keep(_service: LocalService, link: str) -> None:
    """Tells where the console shows what was done, and returns after Ctrl-C."""
    say(f"\nEverything is as expected. See what was done:\n  {link}?next=/console/exports\nCtrl-C stops everything.")
    with contextlib.suppress(KeyboardInterrupt):
        threading.Event().wait()


def _run(
    service: LocalService,
    received: Path,
    contacts: int,
    ftp_port: int,
    afterwards: Callable[[LocalService, str], None],
) -> None:
    say(f"# Postgres, schema and {contacts:,} sample contacts")
    service.flask("db", "upgrade")
    say(service.flask("contacts", "sample", "--contacts", str(contacts)).strip())
    token = json.loads(service.flask("users", "add", "demo", "--token", "--json"))["token"]
    say(f"\n# gunicorn and a worker on port {service.port}, an FTP server on port {ftp_port}")
    user, password = EXAMPLE["ftp_settings"]["username"], EXAMPLE["ftp_settings"]["password"]
    with ftp_server.running(received, user, password, ftp_port), service.serving_with_link() as (_, link):
        say("\n# The request example of the specification")
        example = EXAMPLE | {"ftp_settings": EXAMPLE["ftp_settings"] | {"port": str(ftp_port)}}
        by_ftp = _export(service, token, example)
        ftp_file = received / EXAMPLE["ftp_settings"]["folder"] / by_ftp["file_name"]
        _check_file(ftp_file, by_ftp)
        _expect("files at the FTP server", [path for path in received.rglob("*") if path.is_file()], [ftp_file])

        def refused_while_running() -> None:
            status, reply = service.call("POST", "/api/v2/contact/getchanges", token, LOCAL_EXAMPLE)
            say(f"{status} {json.dumps(reply)}")
            refusal = (400, 4001, ALREADY_RUNNING)
            _expect("reply to the same request", (status, reply["replyCode"], reply["replyText"]), refusal)

        say("\n# The same, stored locally, and requested twice")
        local = _export(service, token, LOCAL_EXAMPLE, meanwhile=refused_while_running)
        _check_file(service.data_dir / "exports" / local["file_name"], local)
        _expect("sha256 of both files", local["sha256"], by_ftp["sha256"])
        afterwards(service, link)


def _export(
    service: LocalService, token: str, request: dict[str, Any], meanwhile: Callable[[], None] | None = None
) -> dict[str, Any]:
    started = time.monotonic()
    say(f"POST /api/v2/contact/getchanges\n{json.dumps(request, indent=2)}")
    status, reply = service.call("POST", "/api/v2/contact/getchanges", token, request)
    say(f"{status} {json.dumps(reply)}")
    _expect("reply", (status, reply["replyCode"], reply["replyText"]), (200, 0, "OK"))
    if meanwhile:
        meanwhile()
    done = _follow(service, token, reply["data"]["id"])
    _expect("final status", (done["status"], done["error"]), ("done", None))
    say(f"{done['rows']:,} rows in {time.monotonic() - started:.2f} s")
    return done


def _follow(service: LocalService, token: str, export_id: int) -> dict[str, Any]:
    seen: list[str] = []
    soon, give_up = time.monotonic() + 5, time.monotonic() + SECONDS_AN_EXPORT
    while time.monotonic() < give_up:
        http_status, reply = service.call("GET", f"/api/v2/export/{export_id}", token)
        _expect("answer", (http_status, reply["replyText"]), (200, "OK"))
        status: dict[str, Any] = reply["data"]
        if [status["status"]] != seen[-1:]:
            seen.append(status["status"])
            say(f"GET /api/v2/export/{export_id}: {status['status']}")
        if status["status"] in {"done", "error"}:
            say(json.dumps(status, indent=2))
            return status
        time.sleep(0.02 if time.monotonic() < soon else 0.5)  # the rate limit holds for the demo too
    raise ContactExportError(f"Export {export_id} is not finished after {SECONDS_AN_EXPORT:.0f} s: {seen}")


def _check_file(file: Path, status: dict[str, Any]) -> None:
    content = file.read_bytes()
    lines = list(csv.reader(content.decode().splitlines(keepends=True), delimiter=EXAMPLE["delimiter"]))
    say(f"{file.name} begins with")
    for line in content.decode().splitlines()[:FIRST_LINES]:
        say(f"  {line}")
    _expect("header", lines[0], ["user_id", "First Name", "E-Mail", "Loyalty number", "last update"])
    _expect("rows", len(lines) - 1, status["rows"])
    _expect("bytes", len(content), status["bytes"])
    _expect("sha256", hashlib.sha256(content).hexdigest(), status["sha256"])
    _expect("rows above zero", status["rows"] > 0, True)
    _expect("order by user_id", [int(line[0]) for line in lines[1:]], sorted({int(line[0]) for line in lines[1:]}))
    _expect("window", all("2012-02-09" <= line[-1] < "2012-04-02" for line in lines[1:]), True)


def _expect(what: str, found: object, expected: object) -> None:
    if found != expected:
        raise ContactExportError(f"{what}: {found!r} found, {expected!r} expected")


if __name__ == "__main__":
    if os.environ.get("KEEP") == "1":
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # a shell ignores SIGINT in the background
            signal.signal(number, signal.default_int_handler)
        sys.exit(main(afterwards=keep))
    sys.exit(main())
