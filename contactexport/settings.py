"""Every setting once: name, type, default and meaning.

A setting NAME is taken from the environment variable CONTACTEXPORT_<NAME>, else from config/<environment>.py,
else from the default here. A wrong value stops the start with one line that names it.
"""

import dataclasses
import difflib
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from contactexport import crash_points, setting_values
from contactexport.allowed_hosts import AllowedHost, parse_allowed_hosts
from contactexport.errors import SettingsError

PREFIX = "CONTACTEXPORT_"
MOST_DEFAULT_READERS = 4
DEFAULT_SCHEMA = "public"
ENVIRONMENTS = ("development", "testing", "production")


def _setting(parse: Callable[[str], Any], default: str | None, meaning: str) -> Any:
    return field(metadata={"parse": parse, "default": default, "meaning": meaning})


@dataclass(frozen=True)
class Settings:
    """The settings of one process, checked and typed; built by `load_settings`."""

    database_url: str | None = _setting(
        setting_values.postgres_url, None, "Postgres 13 or newer; without it one is run from a wheel under DATA_DIR"
    )
    contacts_database_url: str | None = _setting(
        setting_values.postgres_url, None, "where contacts and their changes are read; without it DATABASE_URL"
    )
    schema: str = _setting(
        setting_values.schema_name,
        DEFAULT_SCHEMA,
        "schema of Postgres in which all tables and functions of the program stand",
    )
    broker_url: str | None = _setting(
        setting_values.broker_url, None, "RabbitMQ or Redis; without it folders under DATA_DIR pass the messages"
    )
    data_dir: Path = _setting(setting_values.path, "var", "folder for everything this machine keeps")
    storage: Path | None = _setting(setting_values.path, None, "folder for finished files; without it DATA_DIR/exports")
    create_storage: bool = _setting(
        setting_values.switch,
        "1",
        "1: the first storage folder is made and marked by itself; 0, as in production: it is not",
    )
    secret_key: str | None = _setting(
        setting_values.text,
        None,
        "key that encrypts stored secrets, several separated by commas; without it one is made once",
    )
    time_zone: ZoneInfo = _setting(
        setting_values.time_zone, "UTC", "zone of dates without an offset, and of `last update`"
    )
    language: str = _setting(setting_values.language, "en", "language of an export that names none")
    attempt_limit: int = _setting(
        setting_values.whole_number(1), "5", "how often the rows of an export are tried before it ends in error"
    )
    delivery_limit: float = _setting(
        setting_values.seconds(0),
        "86400",
        "for how many seconds after `ready` a delivery is tried again before it ends in error",
    )
    notification_limit: float = _setting(
        setting_values.seconds(0),
        "86400",
        "for how many seconds after its end the notification of an export is tried again",
    )
    parallel_readers: int | None = _setting(
        setting_values.whole_number(1),
        None,
        "how many sessions read a large export at once; without it one a core, at most 4",
    )
    writers_wait: float = _setting(
        setting_values.seconds(0),
        "30",
        "seconds an export waits for transactions that are changing contacts right now",
    )
    writers_limit: float = _setting(
        setting_values.seconds(0),
        "3600",
        "for how many seconds an export of a past window is put off for such transactions before it ends in error",
    )
    ftp_timeout: float = _setting(
        setting_values.seconds(0.1), "30", "seconds without an answer after which an FTP host is given up"
    )
    ftp_ca_file: Path | None = _setting(
        setting_values.certificates,
        None,
        "PEM file of certificate authorities that FTP hosts may have theirs from, beside those this system trusts",
    )
    ftp_tls_required: bool = _setting(
        setting_values.switch, "0", "1: no file and no password goes to an FTP host without TLS"
    )
    ftp_temporary_name: str = _setting(
        setting_values.temporary_name,
        setting_values.TEMPORARY_NAME,
        "name of an uploaded file until it is complete; %s is its own name and the attempt, %s alone: no other name",
    )
    allowed_hosts: tuple[AllowedHost, ...] = _setting(
        parse_allowed_hosts,
        "",
        "FTP and notification hosts that are allowed although not public: names, *.names, addresses or networks, "
        "each with or without :port, separated by commas",
    )
    wsse_window: float = _setting(
        setting_values.seconds(1),
        "300",
        "seconds that Created of a WSSE header may lie before or after the database's clock",
    )
    oauth_token_seconds: int = _setting(
        setting_values.whole_number(1), "3600", "seconds that an OAuth access token is valid"
    )
    retention: float = _setting(
        setting_values.duration, "30d", "how long files of finished exports are kept: 3600, 90m, 12h, 30d"
    )
    requests_per_minute: int = _setting(
        setting_values.whole_number(1), "1000", "requests a user may send in a minute before 429 is answered"
    )
    exports_per_user: int = _setting(
        setting_values.whole_number(1), "10", "unfinished exports a user may have before 429 is answered"
    )
    downloads_per_user: int = _setting(
        setting_values.whole_number(1),
        "4",
        "downloads a user may have running in one server process before 429 is answered",
    )
    request_timeout: float = _setting(
        setting_values.seconds(0.1),
        "30",
        "seconds within which a request must arrive, headers and body, else 408 is answered",
    )
    send_timeout: float = _setting(
        setting_values.seconds(0.1),
        "30",
        "seconds within which a client must take 64 KiB of an answer, else it is dropped",
    )
    sweep_interval: float = _setting(
        setting_values.seconds(0.1), "30", "seconds between two looks for exports that are due"
    )
    running_per_user: int | None = _setting(
        setting_values.whole_number(1),
        None,
        "exports of one user that run at a time, and files of one user, or for one host, that are delivered at a time; "
        "without it one less than the worker has processes",
    )
    stop_wait: float = _setting(
        setting_values.seconds(0),
        "10",
        "seconds a worker that is told to stop lets its exports go on before it hands them back",
    )
    broker_polling_interval: float = _setting(
        setting_values.seconds(0.001),
        "0.05",
        "seconds between two looks into the message folders (filesystem:// only)",
    )
    log_level: str = _setting(setting_values.log_level, "INFO", "DEBUG, INFO, WARNING or ERROR")

    @property
    def storage_dir(self) -> Path:
        """Folder of the finished files."""
        return self.storage or self.data_dir / "exports"

    @property
    def most_readers(self) -> int:
        """How many sessions may read one export at once."""
        return self.parallel_readers or min(MOST_DEFAULT_READERS, len(os.sched_getaffinity(0)))


def setting_names() -> tuple[str, ...]:
    """All names without the prefix, in the order of the table above."""
    return tuple(one.name.upper() for one in fields(Settings))


def load_settings(configured: Mapping[str, Any], environment: Mapping[str, str]) -> Settings:
    """Settings from a config file's values and the environment, which wins.

    Raises SettingsError naming the variable, its value (unless secret) and what was expected.
    """
    values = {one.name: _value(one, configured, environment) for one in fields(Settings)}
    settings = Settings(**values)
    missing = [name for name in configured.get("REQUIRED_SETTINGS", ()) if getattr(settings, name.lower()) is None]
    if missing:
        raise SettingsError(f"{PREFIX}{missing[0]} is not set: this environment needs it")
    return settings


def unknown_settings(environment: Mapping[str, str]) -> Iterable[str]:
    """One line for each variable with our prefix that is no setting, with the nearest name: most are typing errors."""
    known = {*setting_names(), "ENV", crash_points.VARIABLE.removeprefix(PREFIX)}
    for variable in environment:
        name = variable.removeprefix(PREFIX)
        if variable.startswith(PREFIX) and name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            yield f"{variable} is no setting and is ignored" + (f"; did you mean {PREFIX}{near[0]}?" if near else "")


def _value(one: dataclasses.Field[Any], configured: Mapping[str, Any], environment: Mapping[str, str]) -> Any:
    name = one.name.upper()
    if name.endswith("DATABASE_URL") and environment.get(PREFIX + name) == "":  # from a command that failed, it may be
        raise SettingsError(f"{PREFIX}{name} is empty: a URL expected, or unset the variable to do without")
    given = (environment.get(PREFIX + name), configured.get(name), one.metadata["default"])
    raw = next((value for value in given if value not in (None, "")), given[-1])
    if raw is None:
        return None
    try:
        return one.metadata["parse"](str(raw))
    except ValueError as error:
        shown = "" if name.endswith(("KEY", "URL")) else f" is {str(raw)!r}"
        raise SettingsError(f"{PREFIX}{name}{shown}: {error}") from None
