"""Every setting once: name, type, default and meaning.

The first of these that has a setting NAME counts: the variable CONTACTEXPORT_<NAME>, ./config/<environment>.py,
`ENVIRONMENTS`, the default. CONTACTEXPORT_<NAME>_FILE names a file with a secret. A wrong value stops the start with
one line.
"""

import dataclasses
import difflib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from contactexport import crash_points, setting_values
from contactexport.errors import SettingsError
from contactexport.hosts.parse import AllowedHost, parse_allowed_hosts
from contactexport.setting_values import ObjectStoreUrl

PREFIX = "CONTACTEXPORT_"
DEFAULT_SCHEMA = "public"
# A setting with such a name is secret. A file may have its value: CONTACTEXPORT_<NAME>_FILE.
SECRET_ENDINGS = ("KEY", "URL")
FILE_SUFFIX = "_FILE"
# What CONTACTEXPORT_ENV sets. ./config/<environment>.py and the environment variables override it.
ENVIRONMENTS: dict[str, dict[str, object]] = {
    "development": {"LOG_LEVEL": "DEBUG", "SWEEP_INTERVAL": 5},
    "testing": {  # short waits, and the test servers listen on loopback
        "TESTING": True,
        "SWEEP_INTERVAL": 1,
        "FTP_TIMEOUT": 5,
        "BROKER_POLLING_INTERVAL": 0.02,
        "ALLOWED_HOSTS": "127.0.0.0/8,::1",
    },
    "production": {
        "CREATE_STORAGE": 0,  # a folder that is not mounted must not be created
        "REQUIRED_SETTINGS": ("DATABASE_URL", "BROKER_URL", "STORAGE", "SECRET_KEY"),
    },
}


def _setting(parse: Callable[[str], Any], default: str | None, meaning: str) -> Any:
    return field(metadata={"parse": parse, "default": default, "meaning": meaning})


@dataclass(frozen=True)
class Settings:
    """The settings of one process, checked and typed. `load_settings` builds them."""

    database_url: str | None = _setting(
        setting_values.postgres_url, None, "Postgres 13 or newer. Default: one from a wheel, under DATA_DIR"
    )
    contacts_database_url: str | None = _setting(
        setting_values.postgres_url, None, "database of contacts and their changes. Default: DATABASE_URL"
    )
    schema: str = _setting(
        setting_values.schema_name,
        DEFAULT_SCHEMA,
        "schema of Postgres with all tables and functions of the program",
    )
    broker_url: str | None = _setting(
        setting_values.broker_url, None, "RabbitMQ or Redis. Default: folders under DATA_DIR"
    )
    data_dir: Path = _setting(setting_values.path, "var", "folder for all data of this machine")
    storage: Path | ObjectStoreUrl | None = _setting(
        setting_values.storage,
        None,
        "folder for finished files, or an object store: s3://bucket/prefix, gs://bucket/prefix, az://container/prefix. "
        "Default: DATA_DIR/exports",
    )
    create_storage: bool = _setting(
        setting_values.switch,
        "1",
        "1: the first storage folder is created and marked automatically. 0, as in production: it is not",
    )
    secret_key: str | None = _setting(
        setting_values.text,
        None,
        "keys that encrypt stored secrets, separated by commas. Default: one that is generated once",
    )
    time_zone: ZoneInfo = _setting(
        setting_values.time_zone, "UTC", "time zone of dates without an offset, and of `last update`"
    )
    language: str = _setting(setting_values.language, "en", "language of an export that names none")
    attempt_limit: int = _setting(
        setting_values.whole_number(1), "5", "attempts to write the rows of an export before it ends in error"
    )
    delivery_limit: float = _setting(
        setting_values.seconds(0),
        "86400",
        "seconds after `ready` during which a delivery is retried before it ends in error",
    )
    notification_limit: float = _setting(
        setting_values.seconds(0),
        "86400",
        "seconds after the end of an export during which its notification is retried",
    )
    parallel_readers: int | None = _setting(
        setting_values.whole_number(1),
        None,
        "sessions that read a large export at once. Default: one per core, at most 4",
    )
    writers_wait: float = _setting(
        setting_values.seconds(0),
        "30",
        "seconds an export waits for transactions that are changing contacts",
    )
    writers_limit: float = _setting(
        setting_values.seconds(0),
        "3600",
        "seconds during which an export of a past window is retried after such transactions before it ends in error",
    )
    ftp_timeout: float = _setting(
        setting_values.seconds(0.1), "30", "seconds without an answer after which an FTP host is given up"
    )
    ftp_ca_file: Path | None = _setting(
        setting_values.certificates,
        None,
        "PEM file of certificate authorities that are trusted for FTP hosts, in addition to those of this system",
    )
    ftp_tls_required: bool = _setting(
        setting_values.switch, "0", "1: no file and no password is sent to an FTP host without TLS"
    )
    ftp_temporary_name: str = _setting(
        setting_values.temporary_name,
        setting_values.TEMPORARY_NAME,
        "name of a file during its upload. %s is the final name and the attempt, %s alone: the final name",
    )
    sftp_unknown_hosts: bool = _setting(
        setting_values.switch, "0", "1: a file may be sent by SFTP to a host whose key is not pinned in the request"
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
        "seconds that Created of a WSSE header may be before or after the clock of the database",
    )
    oauth_token_seconds: int = _setting(
        setting_values.whole_number(1), "3600", "seconds that an OAuth access token is valid"
    )
    retention: float = _setting(
        setting_values.duration, "30d", "time after which files of finished exports are deleted: 3600, 90m, 12h, 30d"
    )
    requests_per_minute: int = _setting(
        setting_values.whole_number(1), "1000", "requests of a user per minute, above which the answer is 429"
    )
    exports_per_user: int = _setting(
        setting_values.whole_number(1), "10", "unfinished exports of a user, above which the answer is 429"
    )
    downloads_per_user: int = _setting(
        setting_values.whole_number(1),
        "4",
        "running downloads of a user in one server process, above which the answer is 429",
    )
    request_timeout: float = _setting(
        setting_values.seconds(0.1),
        "30",
        "seconds within which headers and body of a request must arrive. Otherwise the answer is 408",
    )
    download_redirect: bool = _setting(
        setting_values.switch,
        "0",
        "1: whole downloads are redirected to a URL of the object store that is signed for a minute",
    )
    send_timeout: float = _setting(
        setting_values.seconds(0.1),
        "30",
        "seconds within which a client must read 64 KiB of an answer. Otherwise it is dropped",
    )
    sweep_interval: float = _setting(
        setting_values.seconds(0.1), "30", "seconds between two sweeps for exports that are due"
    )
    running_per_user: int | None = _setting(
        setting_values.whole_number(1),
        None,
        "exports of one user that run at a time, and files of one user, or for one host, that are delivered at a time. "
        "Default: the processes of the worker minus one",
    )
    stop_wait: float = _setting(
        setting_values.seconds(0),
        "10",
        "seconds that a stopping worker gives its exports before it hands them back",
    )
    broker_polling_interval: float = _setting(
        setting_values.seconds(0.001),
        "0.05",
        "seconds between two polls of the message folders (filesystem:// only)",
    )
    metrics_hosts: tuple[IPv4Network | IPv6Network, ...] = _setting(
        setting_values.networks,
        "",
        "addresses and networks that may read /metrics without a token, separated by commas",
    )
    log_level: str = _setting(setting_values.log_level, "INFO", "DEBUG, INFO, WARNING or ERROR")
    log_format: str = _setting(setting_values.log_format, "text", "text, or json: each line of the log is an object")

    @cached_property
    def storage_dir(self) -> Path:
        """The folder of finished files. Raises SettingsError if they are in an object store."""
        if isinstance(self.storage, ObjectStoreUrl):
            raise SettingsError(f"{PREFIX}STORAGE is {str(self.storage)!r}: a folder expected here")
        return self.storage or self.data_dir / "exports"


def setting_names() -> tuple[str, ...]:
    """Returns all names without the prefix, in the order of the table above."""
    return tuple(one.name.upper() for one in fields(Settings))


def load_settings(configured: Mapping[str, Any], environment: Mapping[str, str]) -> Settings:
    """Returns the settings from the values of a config file and the environment. The environment wins.

    Raises SettingsError, which names the variable, its value (unless secret) and what is expected.
    """
    values = {one.name: _value(one, configured, environment) for one in fields(Settings)}
    settings = Settings(**values)
    missing = [name for name in configured.get("REQUIRED_SETTINGS", ()) if getattr(settings, name.lower()) is None]
    if missing:
        names = ", ".join(PREFIX + name for name in missing)
        are, them = ("is", "it") if len(missing) == 1 else ("are", "them")
        raise SettingsError(f"{names} {are} not set: this environment needs {them}")
    return settings


def setting_source(name: str, configured: Mapping[str, Any], environment: Mapping[str, str]) -> tuple[str, str | None]:
    """Who has set a setting, and the text that counts. By variable, by CONTACTEXPORT_ENV, by a file, or by default.

    The text of a file that a variable names is secret: it is None.
    """
    if (text := environment.get(PREFIX + name)) not in (None, ""):
        return PREFIX + name, text
    if environment.get(PREFIX + name + FILE_SUFFIX) and name.endswith(SECRET_ENDINGS):
        return PREFIX + name + FILE_SUFFIX, None
    if configured.get(name) in (None, ""):
        return "default", next(one.metadata["default"] for one in fields(Settings) if one.name == name.lower())
    profile = environment.get(PREFIX + "ENV", "")
    is_profile = ENVIRONMENTS.get(profile, {}).get(name) == configured[name]
    return f"{PREFIX}ENV={profile}" if is_profile else "./config", str(configured[name])


def unknown_settings(environment: Mapping[str, str]) -> Iterable[str]:
    """Yields a line for each variable with our prefix that is not a setting, with the most similar name."""
    files = {name + FILE_SUFFIX for name in setting_names() if name.endswith(SECRET_ENDINGS)}
    known = {*setting_names(), *files, "ENV", crash_points.VARIABLE.removeprefix(PREFIX)}
    for variable in environment:
        name = variable.removeprefix(PREFIX)
        if variable.startswith(PREFIX) and name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            yield f"unknown setting {variable}, ignored" + (f": did you mean {PREFIX}{near[0]}?" if near else "")


def _value(one: dataclasses.Field[Any], configured: Mapping[str, Any], environment: Mapping[str, str]) -> Any:
    name = one.name.upper()
    if name.endswith("DATABASE_URL") and environment.get(PREFIX + name) == "":  # perhaps the output of a failed command
        raise SettingsError(f"{PREFIX}{name} is empty: a URL expected, or no variable at all")
    if (
        environment.get(PREFIX + name)
        and environment.get(PREFIX + name + FILE_SUFFIX)
        and name.endswith(SECRET_ENDINGS)
    ):
        raise SettingsError(f"{PREFIX}{name} and {PREFIX}{name}{FILE_SUFFIX} are set: one of them expected")
    given = (
        environment.get(PREFIX + name) or _content_of_file(name, environment),
        configured.get(name),
        one.metadata["default"],
    )
    raw = next((value for value in given if value not in (None, "")), given[-1])
    if raw is None:
        return None
    try:
        return one.metadata["parse"](str(raw))
    except ValueError as error:
        hidden = name.endswith(SECRET_ENDINGS) or ("://" in str(raw) and "@" in str(raw))  # there may be a password
        shown = "" if hidden else f" is {str(raw)!r}"
        raise SettingsError(f"{PREFIX}{name}{shown}: {error}") from None


def _content_of_file(name: str, environment: Mapping[str, str]) -> str | None:
    """The secret in the file that a variable names, such as a secret of systemd, Docker or Kubernetes."""
    variable = PREFIX + name + FILE_SUFFIX
    path = environment.get(variable)
    if not path or not name.endswith(SECRET_ENDINGS):
        return None
    try:
        content = Path(path).read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a text"
        raise SettingsError(f"{variable} is {path!r}: a readable file expected ({reason})") from None
    if not content:
        raise SettingsError(f"{variable} is {path!r}: the file is empty")
    return content
