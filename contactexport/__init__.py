"""contactexport: exports the contacts that changed in a time range as CSV files, over the Emarsys API v2.

`create_app` is the one place where the parts are put together.
"""

import logging
import os
import sys
from pathlib import Path

from flask import Flask

from contactexport import audit, crash_points
from contactexport.context import Context
from contactexport.db.connection import Database
from contactexport.errors import SettingsError
from contactexport.hosts.guard import NetworkGuard
from contactexport.queue.publisher import ExportQueue
from contactexport.secrets.box import SecretBox
from contactexport.settings import ENVIRONMENTS, PREFIX, Settings, load_settings, unknown_settings

FLASK_DEFAULTS = {"MAX_CONTENT_LENGTH": 64 * 1024, "PROPAGATE_EXCEPTIONS": False, "TRAP_HTTP_EXCEPTIONS": False}

logger = logging.getLogger(__name__)


def create_app() -> Flask:
    """The application for gunicorn, for Celery workers and for the command line. Opens no connection.

    Raises SystemExit with one line when a setting is missing or wrong.
    """
    from contactexport import api, cli, console

    app = Flask("contactexport", root_path=str(Path(__file__).parent), static_folder=None)
    try:
        _configure(app)
        settings = load_settings(app.config, os.environ)
    except SettingsError as error:
        print(f"contactexport: {error.text}", file=sys.stderr)  # noqa: T201 - there is no log yet
        raise SystemExit(error.exit_code) from None
    audit.write_to_stderr()
    logging.getLogger("contactexport").setLevel(settings.log_level)
    for line in unknown_settings(os.environ):
        logger.warning(line)
    if point := os.environ.get(crash_points.VARIABLE):
        logger.warning("for tests only: this process ends or stops itself at %r", point)
    app.extensions["contactexport"] = make_context(settings)
    api.init_app(app)
    console.init_app(app)
    cli.init_app(app)
    return app


def make_context(settings: Settings) -> Context:
    """The context of one process, built from its settings."""

    def database_url() -> str:
        if settings.database_url:
            return settings.database_url
        from contactexport.embedded import postgres

        return postgres.start(settings.data_dir)

    database = Database(database_url, settings.schema)
    contacts_url = settings.contacts_database_url
    contacts = database
    if contacts_url:
        contacts = Database(lambda: contacts_url, settings.schema, contacts_only=True)
    return Context(
        settings,
        database,
        contacts,
        ExportQueue(settings),
        SecretBox(settings.secret_key, settings.data_dir),
        NetworkGuard(settings.allowed_hosts),
    )


def _configure(app: Flask) -> None:
    """Applies the defaults of the program and of CONTACTEXPORT_ENV, then the files in ./config."""
    environment = os.environ.get(PREFIX + "ENV")
    if environment is not None and environment not in ENVIRONMENTS:
        raise SettingsError(f"{PREFIX}ENV is {environment!r}: one of {', '.join(ENVIRONMENTS)} expected")
    app.config.from_mapping(FLASK_DEFAULTS)
    app.config.from_mapping(ENVIRONMENTS.get(environment or ""))
    for name in ("default", environment):
        if name:
            app.config.from_pyfile(str(Path("config", f"{name}.py").absolute()), silent=True)
