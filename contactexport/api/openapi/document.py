"""The OpenAPI 3.1 document of the API, generated from the marshmallow schemas of its requests and answers."""

from datetime import UTC
from functools import cache
from importlib.metadata import version
from typing import Any

from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin

from contactexport.api.feed_schemas import FeedSchema
from contactexport.api.openapi import errors, exports, fields, oauth
from contactexport.api.openapi.catalogue import catalogue_paths, open_paths
from contactexport.api.openapi.contacts import contact_paths
from contactexport.api.openapi.feeds import feed_paths
from contactexport.api.response_schemas import Envelope
from contactexport.api.schemas import GetChangesSchema
from contactexport.catalogue import Catalogue
from contactexport.hosts.guard import NetworkGuard

DESCRIPTION = """\
Exports the contacts that changed in a time range as CSV files.

Every answer is the same envelope: `replyCode` (0 when all went well), `replyText` (`OK`, or what is wrong) and `data` \
(empty in an error).

Every call under `/api` needs credentials: a WSSE header, a bearer token, or an access token that an OAuth 2.0 client \
gets from `/oauth2/token`.

Every path under `/api/v2` also exists under `/api/v3`, with the same requests and answers. WSSE headers do not count \
there. Every path may end in one slash. Every answer under `/api` has the headers `X-RateLimit-Limit`, \
`X-RateLimit-Remaining` and `X-RateLimit-Reset` (Unix time in seconds).

Dates without an offset are in the time zone of the service. Numbers may be sent as numbers or as strings of digits.
"""
WSSE = """\
`UsernameToken Username="…", PasswordDigest="…", Nonce="…", Created="…"`: the digest is base64 of the hexadecimal \
SHA-1 of nonce + created + secret. `Created` is the current time in ISO 8601. Every nonce is accepted once. The header \
may also be named `WSSE`. It counts under `/api/v2` only.
"""
SECURITY: dict[str, dict[str, Any]] = {
    "wsse": {"type": "apiKey", "in": "header", "name": "X-WSSE", "description": WSSE},
    "bearer": {"type": "http", "scheme": "bearer", "description": "`Authorization: Bearer TOKEN`"},
    "oauth2": {
        "type": "oauth2",
        "flows": {"clientCredentials": {"tokenUrl": "/oauth2/token", "scopes": {}}},
        "description": "An access token of an OAuth 2.0 client, sent as `Authorization: Bearer TOKEN`",
    },
}


@cache
def document() -> dict[str, Any]:
    """Returns the document. It is the same for everybody and built once."""
    plugin = MarshmallowPlugin()
    spec = APISpec(
        title="contactexport",
        version=version("contactexport"),
        openapi_version="3.1.0",
        plugins=[plugin],
        info={"description": DESCRIPTION},
        servers=[{"url": "/"}],
        security=[{name: []} for name in SECURITY],
        tags=[{"name": name} for name in ("Exports", "Feeds", "Catalogue", "OAuth", "Service")],
    )
    plugin.converter.add_attribute_function(fields.json_schema)  # type: ignore[union-attr] # set by APISpec
    for name, scheme in SECURITY.items():
        spec.components.security_scheme(name, scheme)
    spec.components.security_scheme("client", oauth.CLIENT)
    spec.components.schema("Envelope", schema=Envelope)
    for name, response in errors.responses().items():
        spec.components.response(name, response)
    nothing = Catalogue((), {}), UTC, "en", NetworkGuard(())  # the values count at load only
    paths = (
        exports.paths(GetChangesSchema(*nothing))
        | feed_paths(FeedSchema(*nothing))
        | contact_paths()
        | catalogue_paths()
        | oauth.paths()
        | open_paths()
    )
    for path, operations in paths.items():
        spec.path(path, operations=operations)
    made: dict[str, Any] = spec.to_dict()
    return made
