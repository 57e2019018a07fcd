"""The form of a new export: what it posts becomes the body that the API would get, and a body becomes what it shows."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

from werkzeug.datastructures import MultiDict

from contactexport.exports.models import ExportSettings
from contactexport.feeds.status import asked
from contactexport.moments import in_zone

Form = MultiDict[str, str]

CUSTOM, SINCE_LAST = "custom", "since_last"
WINDOWS = {
    CUSTOM: "from and to, as written below",
    SINCE_LAST: "since the last export of the same setting",
    "today": "today, until now",
    "yesterday": "yesterday",
    "last_7_days": "the last 7 whole days",
    "last_30_days": "the last 30 whole days",
    "last_month": "last month",
}
KINDS = {"changes": "contacts that changed", "registrations": "contacts that were created"}
ORIGINS = {"form": "forms", "api": "API sources", "all": "all contacts"}
DELIMITERS = {",": "comma", ";": "semicolon"}
FLAGS = ("add_field_names_header", "spreadsheet", "removed", "origin_column", "may_end_early", "may_be_incomplete")
SEPARATORS = re.compile(r"[\s,;]+")


@dataclass(frozen=True)
class Target:
    """How a delivery method's settings are asked for. `flags` are 1 or 0. `secrets` are never shown again."""

    parameter: str
    texts: Sequence[str]
    flags: Sequence[str]
    secrets: Sequence[str]

    @property
    def bound(self) -> Sequence[str]:
        """A kept secret goes to this place only."""
        return [name for name in self.texts if name not in ("folder", "temporary_name")]


TARGETS = {
    "ftp": Target("ftp_settings", ("host", "port", "username", "folder", "temporary_name"), ("tls",), ("password",)),
    "sftp": Target(
        "sftp_settings",
        ("host", "port", "username", "host_key", "folder", "temporary_name"),
        (),
        ("password", "private_key", "passphrase"),
    ),
}
LABELS = {
    "host": "Host",
    "port": "Port (empty: the usual one)",
    "username": "User",
    "folder": "Folder",
    "temporary_name": "Name during the upload, such as %s.tmp",
    "host_key": "Fingerprint of its key, SHA256:…",
    "password": "Password",
    "private_key": "Or a private key",
    "passphrase": "Passphrase of the key",
    "tls": "TLS, with a certificate that is valid for the host",
}
METHODS = {
    "local": "stays in the storage, to be downloaded",
    "ftp": "is uploaded by FTP",
    "sftp": "is uploaded by SFTP",
}


def body_of(form: Form, time_range: Sequence[str]) -> dict[str, Any]:
    """The body of getchanges, without secrets. Every required parameter is there, so that all errors are found."""
    body: dict[str, Any] = {
        "distribution_method": form.get("distribution_method", ""),
        "time_range": list(time_range),
        "origin": form.get("origin", ""),
        "contact_fields": chosen_fields(form),
        "delimiter": form.get("delimiter", ","),
        "language": form.get("language") or None,
    }
    if body["origin"] != "all":
        body["origin_id"] = form.getlist(f"{body['origin']}_id")
    body |= {flag: int(flag in form) for flag in FLAGS}
    if target := TARGETS.get(body["distribution_method"]):
        texts = {name: form.get(f"{target.parameter}.{name}", "").strip() for name in target.texts}
        texts = {name: text for name, text in texts.items() if text or name in ("host", "username")}
        if "compression" in form:
            body["compression"] = "gzip"
        if key := form.get("openpgp_key", "").strip():
            body["encryption"] = {"openpgp_key": key.replace("\r\n", "\n") + "\n"}
        body[target.parameter] = texts | {name: int(f"{target.parameter}.{name}" in form) for name in target.flags}
    return body


def chosen_fields(form: Form) -> list[str]:
    """The ids of the order, then the checked ones that are not in it. Each once."""
    ordered = [one for one in SEPARATORS.split(form.get("order", "")) if one]
    return list(dict.fromkeys([*ordered, *form.getlist("field")]))


def window_of(preset: str, now: datetime, zone: tzinfo) -> tuple[str, str] | None:
    """Start and end of a preset at this moment, as the API takes them. None for one that needs more than a clock."""
    today = now.astimezone(zone).date()
    days = {"yesterday": 1, "last_7_days": 7, "last_30_days": 30}
    if preset == "today":
        return f"{today}", shown_moment(now, zone)
    if preset in days:
        return f"{today - timedelta(days=days[preset])}", f"{today}"
    if preset == "last_month":
        first = today.replace(day=1)
        return f"{(first - timedelta(days=1)).replace(day=1)}", f"{first}"
    return None


def shown_moment(moment: datetime, zone: tzinfo) -> str:
    """The moment as the API takes it, with its offset and no microseconds that are zero."""
    return in_zone(moment, zone).isoformat(timespec="auto" if moment.microsecond else "seconds")


def values_of(settings: ExportSettings, zone: tzinfo) -> Form:
    """What the form shows to ask for the same once more. It has no secrets."""
    values: Form = MultiDict(
        {"kind": settings.type, "window": CUSTOM, "order": ", ".join(map(str, settings.contact_fields))}
    )
    values["start"], values["end"] = (shown_moment(one, zone) for one in (settings.start, settings.end))
    for name, value in asked(settings).items():
        if isinstance(value, str):
            values[name] = value
    values.setlist(f"{settings.origin}_id", [str(one) for one in settings.origin_ids])
    values.setlist("field", [str(one) for one in settings.contact_fields])
    stored: Mapping[str, Any] = vars(settings) | {"add_field_names_header": settings.header}
    values.update({flag: "1" for flag in FLAGS if stored[flag]})
    if settings.compression:
        values["compression"] = "1"
    values["openpgp_key"] = settings.openpgp_key or ""
    target = TARGETS.get(settings.distribution_method)
    if target is not None and (place := getattr(settings, settings.distribution_method)) is not None:
        for name in target.texts:
            values[f"{target.parameter}.{name}"] = str(getattr(place, name) or "")
        values.update({f"{target.parameter}.{name}": "1" for name in target.flags if getattr(place, name)})
    return values


def new_values(language: str) -> Form:
    """What an empty form shows."""
    return MultiDict(
        {
            "kind": "changes",
            "window": "yesterday",
            "origin": "form",
            "distribution_method": "local",
            "delimiter": ",",
            "language": language,
            "add_field_names_header": "1",
            "ftp_settings.tls": "1",
        }
    )


def now() -> datetime:
    """The second by the clock of this machine. The window of a preset is shown before it counts.

    Whoever clicks twice asks for the same window twice, which is refused with 4001.
    """
    return datetime.now(UTC).replace(microsecond=0)
