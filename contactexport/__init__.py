"""contactexport: exports the contacts that changed in a time range as CSV files, over the Emarsys API v2.

`create_app` is the one place where the parts are put together.
"""

import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from flask import Flask

from contactexport import crash_points, log_lines
from contactexport.backend import Backend
from contactexport.db.connection import Database
from contactexport.errors import SettingsError
from contactexport.export_queue import ExportQueue
from contactexport.network_guard import NetworkGuard
from contactexport.secret_box import SecretBox
from contactexport.settings import ENVIRONMENTS, PREFIX, Settings, load_settings, unknown_settings

CONFIG_FOLDER = Path(__file__).parent.parent / "config"

logger = logging.getLogger(__name__)


class SynchronousFlask(Flask):
    """Flask for functions none of which is async, so that it need not look whether they are at each call."""

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """The function itself."""
        return func


def create_app() -> Flask:
    """The application for gunicorn, for Celery workers and for the command line; opens no connection.

    Raises SystemExit with one clear line when a setting is missing or wrong.
    """
    app = SynchronousFlask("contactexport", root_path=str(Path(__file__).parent), static_folder=None)
    try:
        _configure(app)
        settings = load_settings(app.config, os.environ)
    except SettingsError as error:
        print(f"contactexport: {error.text}", file=sys.stderr)  # noqa: T201 - there is no log yet
        raise SystemExit(error.exit_code) from None
    _configure_logging(settings)
    app.extensions["contactexport"] = make_backend(settings)
    _register(app)
    return app


def make_backend(settings: Settings) -> Backend:
    """The parts the services work with, wired by the settings."""
    database = Database(lambda: settings.database_url or _embedded_url(settings), settings.schema)
    contacts_url = settings.contacts_database_url
    contacts = Database(lambda: str(contacts_url), settings.schema) if contacts_url else database
    return Backend(
        settings,
        database,
        contacts,
        ExportQueue(settings),
        SecretBox(settings.secret_key, settings.data_dir),
        NetworkGuard(settings.allowed_hosts),
    )


def _configure(app: Flask) -> None:
    environment = os.environ.get(PREFIX + "ENV")
    if environment is not None and environment not in ENVIRONMENTS:
        raise SettingsError(f"{PREFIX}ENV is {environment!r}: one of {', '.join(ENVIRONMENTS)} expected")
    for name in ("default", environment):
        if name:
            app.config.from_pyfile(str(CONFIG_FOLDER / f"{name}.py"), silent=name == "default")


def _configure_logging(settings: Settings) -> None:
    log_lines.write_to_stderr()
    logging.getLogger("contactexport").setLevel(settings.log_level)
    for line in unknown_settings(os.environ):
        logger.warning(line)
    if point := os.environ.get(crash_points.VARIABLE):
        logger.warning("for tests only: this program ends or stops itself at %r", point)


def _embedded_url(settings: Settings) -> str:
    from contactexport.embedded import postgres

    return postgres.start(settings.data_dir)


def _register(app: Flask) -> None:
    from contactexport import api, cli

    api.init_app(app)
    cli.init_app(app)
