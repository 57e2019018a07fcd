"""Counts the files and functions that one warm export runs through: `python -m tests.support.trace_export [--list]`.

A client requests the export over HTTP routes and reads its status. The tasks of a worker write it and deliver it by
FTP. A first export fills all caches and pools, and is not counted.
"""

import argparse
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import contactexport
from contactexport.context import Context
from contactexport.db import migrate
from contactexport.embedded import postgres, sample_catalogue
from contactexport.exports.models import ExportStatus
from contactexport.queue.publisher import DELIVER, RUN_EXPORT
from contactexport.users import manage
from contactexport.worker.app import worker_app
from tests.support.contexts import make_context
from tests.support.exporting import PASSWORD, REQUIRED_ONLY, contact_changed
from tests.support.ftp_hosts import serving

PACKAGE = Path(contactexport.__file__).parent


class Trace:
    """The code objects of the package that run during the trace, in any thread."""

    def __init__(self) -> None:
        self.ran: set[CodeType] = set()
        self._package = f"{PACKAGE}/"

    def __call__(self, frame: FrameType, event: str, _argument: Any) -> None:
        # The file of a named query is a .sql file.
        file = frame.f_code.co_filename
        if event == "call" and file.startswith(self._package) and file.endswith(".py"):
            self.ran.add(frame.f_code)

    def on(self) -> None:
        threading.setprofile(self)
        sys.setprofile(self)

    def off(self) -> None:
        sys.setprofile(None)
        threading.setprofile(None)

    @property
    def functions(self) -> list[tuple[str, str]]:
        """File and name of each function. Comprehensions, lambdas and class bodies belong to the code around them."""
        return sorted(
            {
                (str(Path(code.co_filename).relative_to(PACKAGE)), code.co_qualname)
                for code in self.ran
                if not code.co_name.startswith("<")
            }
        )


@contextmanager
def installation(folder: Path) -> Iterator[tuple[Context, Any]]:
    """A context with a few contacts, and a client of the API with credentials."""
    url = postgres.start(folder / "postgres")
    context = make_context(url, folder / "data", ftp_timeout=20)
    try:
        migrate.upgrade(context.database)
        sample_catalogue.load(context.database)
        contact_changed(context)
        app = contactexport.create_app()
        app.extensions["contactexport"] = context
        client = app.test_client()
        token = manage.add_user(context, "tracer", with_wsse=False, with_token=True).token
        client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {token}"
        yield context, client
    finally:
        context.database.close()
        postgres.stop(folder / "postgres")


def run_one(context: Context, client: Any, tasks: Any, port: int, field: int) -> None:
    """Runs one export from the request to the last status. Raises RuntimeError if it is not done."""
    ftp = {"host": "127.0.0.1", "port": str(port), "username": "user", "password": PASSWORD}
    body = REQUIRED_ONLY | {"distribution_method": "ftp", "contact_fields": [str(field)], "ftp_settings": ftp}
    export_id = client.post("/api/v2/contact/getchanges", json=body).json["data"]["id"]
    tasks[RUN_EXPORT].run()
    tasks[DELIVER].run()
    for _ in range(50):  # the watchdog checks every half second
        status = client.get(f"/api/v2/export/{export_id}").json["data"]
        if status["status"] == ExportStatus.DONE:
            return
        time.sleep(0.1)
    raise RuntimeError(f"the export is not done: {status}")


def traced() -> list[tuple[str, str]]:
    """File and name of each function that one warm export runs through."""
    trace = Trace()
    with (
        tempfile.TemporaryDirectory(prefix="contactexport-") as folder,
        serving(Path(folder) / "inbox") as (port, _commands),
        installation(Path(folder)) as (context, client),
    ):
        tasks = worker_app(context).tasks
        run_one(context, client, tasks, port, field=1)
        trace.on()
        try:
            run_one(context, client, tasks, port, field=3)
        finally:
            trace.off()
    return trace.functions


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--list", action="store_true", help="print each function")
    list_functions = parser.parse_args().list
    functions = traced()
    if list_functions:
        for file, function in functions:
            print(f"{file}: {function}")
    print(f"{len({file for file, _ in functions})} files, {len(functions)} functions")


if __name__ == "__main__":
    main()
