"""Parses the texts of settings. Each function returns the value, or raises ValueError with what is expected."""

import importlib.util
import re
import ssl
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from contactexport.languages import LANGUAGES

LONGEST_NAME = 63  # bytes of a name in Postgres
TEMPORARY_NAME = "%s.part"  # the default


def text(raw: str) -> str:
    """A non-empty line."""
    if not raw or not raw.isprintable():
        raise ValueError("a non-empty line of text expected")
    return raw


def _scheme(url: str) -> str:
    try:
        return urlsplit(url).scheme
    except ValueError:  # its text has a part of the URL, which may be the password
        return ""


def _require_plain_login(url: str, most_signs: int) -> None:
    """Raises ValueError if characters of the password end it, because its rest would count as host and be shown."""
    authority, rest = re.fullmatch(r"[^:]*:/*([^/?#]*)(.*)", url, re.DOTALL).groups()  # type: ignore[union-attr] # any fits
    hosts = authority.rpartition("@")[2]
    ports = [host.rpartition(":")[2] for host in re.sub(r"\[[^\]]*\]", "", hosts).split(",") if ":" in host]
    ends_early = "@" not in authority and "@" in rest.partition("?")[0]
    if authority.count("@") > most_signs or ends_early or not all(re.fullmatch(r"[0-9]{0,5}", port) for port in ports):
        raise ValueError("special characters in user and password as %XX expected, such as %40 for @ and %2F for /")


def postgres_url(raw: str) -> str:
    """A URL of a database."""
    # An empty URL would lead to where PGHOST and similar variables point.
    if _scheme(raw) not in {"postgresql", "postgres"} or raw.partition("://")[2].strip("/") == "":
        raise ValueError("a URL like postgresql://user@host:5432/database expected")
    _require_plain_login(raw, most_signs=1)  # libpq ends the password at the first @
    return raw


def schema_name(raw: str) -> str:
    """The name of a schema."""
    # Postgres truncates a longer name, reserves names with pg_, and reads $user as the name of the role.
    if len(text(raw).encode()) > LONGEST_NAME or raw.startswith("pg_") or raw in {"$user", "information_schema"}:
        raise ValueError(f"a name of at most {LONGEST_NAME} bytes expected, and not one that Postgres reserves")
    return raw


def broker_url(raw: str) -> str:
    """A URL of a broker."""
    if _scheme(raw) not in {"amqp", "amqps", "redis", "rediss", "filesystem"}:
        raise ValueError("a URL that starts with amqp://, amqps://, redis://, rediss:// or filesystem:// expected")
    _require_plain_login(raw, most_signs=10**9)  # kombu ends it at the last @
    return raw


def path(raw: str) -> Path:
    """A file or folder, absolute."""
    try:
        return Path(text(raw)).expanduser().absolute()
    except RuntimeError:
        raise ValueError("a folder expected, and after ~ a user of this machine") from None


class ObjectStoreUrl(str):
    """The URL of a bucket or container, and of a prefix in it."""


OBJECT_STORE = re.compile(r"(s3|gs|az)://[A-Za-z0-9][A-Za-z0-9._-]+(/[A-Za-z0-9._/-]*)?")


def storage(raw: str) -> Path | ObjectStoreUrl:
    """A folder, or the URL of an object store."""
    if "://" not in raw:
        return path(raw)
    if not OBJECT_STORE.fullmatch(raw):
        raise ValueError("a folder, or s3://bucket/prefix, gs://bucket/prefix or az://container/prefix expected")
    if importlib.util.find_spec("obstore") is None:
        raise ValueError("object stores need a further package: run pip install 'contactexport[objects]'")
    return ObjectStoreUrl(raw.rstrip("/"))


def certificates(raw: str) -> Path:
    """A PEM file of certificates."""
    file = path(raw)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(file)
    except OSError:
        raise ValueError("a readable PEM file of certificates expected") from None
    return file


def time_zone(raw: str) -> ZoneInfo:
    """A time zone by its name in the IANA database."""
    try:
        return ZoneInfo(raw)
    except (KeyError, ValueError, OSError):
        raise ValueError("a time zone of the IANA database such as UTC or Europe/Vienna expected") from None


def language(raw: str) -> str:
    """A language code, in lower case."""
    if raw.lower() not in LANGUAGES:
        raise ValueError(f"a language code expected, one of {', '.join(sorted(LANGUAGES))}")
    return raw.lower()


def log_level(raw: str) -> str:
    """A level of the log, in capitals."""
    if raw.upper() not in {"DEBUG", "INFO", "WARNING", "ERROR"}:
        raise ValueError("DEBUG, INFO, WARNING or ERROR expected")
    return raw.upper()


def seconds(least: float) -> Callable[[str], float]:
    """Returns a parser of seconds with a minimum."""

    def parse(raw: str) -> float:
        try:
            value = float(raw)
        except ValueError:
            value = -1.0
        if not least <= value <= 10**9:
            raise ValueError(f"a number of seconds expected, at least {least:g}")
        return value

    return parse


def duration(raw: str) -> float:
    """A duration, in seconds."""
    found = re.fullmatch(r"(\d{1,9})([smhd]?)", raw, re.ASCII)
    if not found:
        raise ValueError("a duration such as 3600 (seconds), 90m, 12h or 30d expected")
    return float(found[1]) * {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}[found[2]]


def temporary_name(raw: str) -> str:
    """A pattern for the name of a file during its upload."""
    name = raw.rpartition("/")[2]
    if not (raw.isascii() and raw.isprintable() and name.count("%s") == 1 and raw.count("%") == 1 and len(raw) <= 200):
        raise ValueError("a name such as %s.part or in/%s.tmp expected, in ASCII and with one %s in its last part")
    return raw


def whole_number(least: int, most: int = 10**9) -> Callable[[str], int]:
    """Returns a parser of whole numbers with a minimum and a maximum."""

    def parse(raw: str) -> int:
        if not re.fullmatch(r"[0-9]{1,20}", raw) or not least <= int(raw) <= most:
            raise ValueError(f"a whole number expected, at least {least} and at most {most}")
        return int(raw)

    return parse


def switch(raw: str) -> bool:
    """0 or 1."""
    if raw not in {"0", "1"}:
        raise ValueError("0 or 1 expected")
    return raw == "1"
