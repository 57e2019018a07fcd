"""What is typed to retry an export. It is checked by the fields of a request, because it goes the same ways."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from marshmallow import Schema

from contactexport.api.delivery_fields import NESTED
from contactexport.api.form_errors import load_with_errors
from contactexport.api.request_fields import NotificationUrl
from contactexport.errors import InvalidRequest
from contactexport.exports.models import Export
from contactexport.hosts.guard import NetworkGuard

SECRETS = ("password", "private_key")


@dataclass(frozen=True, repr=False)  # no text may show them
class TypedAgain:
    """`secret` is the FTP password, or the text of the SFTP credentials. None: nothing was typed."""

    username: str | None
    secret: str | None
    notification_url: str | None


class UrlSchema(Schema):
    """The notification URL alone."""

    notification_url = NotificationUrl(required=True)

    def __init__(self, guard: NetworkGuard) -> None:
        super().__init__()
        self.guard = guard


def load_typed(export: Export, typed: Mapping[str, str | None], guard: NetworkGuard) -> TypedAgain:
    """The valid values. None stands for what was not typed. An empty URL stays: it means no notification.

    A run of a feed takes no user and no secret.
    Raises InvalidRequest with the text of the first error.
    """
    given = {name: value for name, value in typed.items() if value is not None}
    username = secret = None
    method, url = export.settings.distribution_method, typed.get("notification_url")
    if export.feed_id is None and export.settings.remote is not None:
        has_secret = any(name in given for name in SECRETS)
        names = {"username", "password", "private_key", "passphrase"} if has_secret else {"username"}
        schema = NESTED[f"{method}_settings"]
        body = {"username": export.settings.remote.username} | given
        target = _loaded(schema(only=names & schema._declared_fields.keys()), body)
        username = target["username"] if "username" in given else None
        if has_secret:
            secret = target["password"] if method == "ftp" else target["credentials"].to_text()
    if url:
        _loaded(UrlSchema(guard), {"notification_url": url})
    return TypedAgain(username, secret, url)


def _loaded(schema: Schema, body: Mapping[str, str]) -> dict[str, Any]:
    known = {name: value for name, value in body.items() if name in schema.fields}
    loaded, errors = load_with_errors(schema, known)
    if errors:
        raise InvalidRequest(next(iter(errors.values())))
    return cast(dict[str, Any], loaded)
