"""Authlib's OAuth 2.0 server, told how this service reads a request, knows its clients and stores its tokens."""

import logging
import re
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_plus

from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.oauth2.rfc6749 import ClientCredentialsGrant, OAuth2Request
from authlib.oauth2.rfc6749.requests import BasicOAuth2Payload
from authlib.oauth2.rfc6750 import BearerTokenGenerator
from authlib.oauth2.rfc7009 import RevocationEndpoint
from flask import request

from contactexport.api.authentication import admit
from contactexport.api.backend import current_backend
from contactexport.db.oauth_repository import OauthClient
from contactexport.errors import InvalidRequest, Unauthorized
from contactexport.services import oauth

Form = Mapping[str, str]

# At DEBUG it would log access tokens.
logging.getLogger("authlib").setLevel(logging.INFO)

_BASIC = re.compile(r"basic +([A-Za-z0-9+/]+=*) *", re.IGNORECASE)


class FormRequest(OAuth2Request):  # type: ignore[misc] # Authlib has no types
    """What Authlib asks of a request: the form alone, since nothing counts that stands in the URL.

    Authlib refuses a request whose URL is not https. This service sees plain http from the proxy that does TLS (see
    "Many machines" in docs/operations.md), so Authlib gets a URL that says nothing.
    """

    def __init__(self, form: Form) -> None:
        super().__init__("POST", "https://localhost")
        self.payload = BasicOAuth2Payload(form)

    @property
    def form(self) -> Form:
        """The parameters of the body."""
        data: Form = self.payload.data
        return data


@dataclass(frozen=True)
class Client:
    """What Authlib asks of a client."""

    known: OauthClient

    def check_grant_type(self, _grant_type: str) -> bool:
        """Every client may use the only grant there is."""
        return True

    def get_allowed_scope(self, scope: str | None) -> str | None:
        """There are no scopes: None, which Authlib answers with invalid_scope, when one is asked for."""
        return None if scope else ""


class OauthServer(AuthorizationServer):  # type: ignore[misc] # Authlib has no types
    """Issues access tokens for client credentials, and revokes them."""

    def __init__(self) -> None:
        super().__init__()
        self.register_grant(ClientCredentialsGrant)
        self.register_endpoint(Revocation)
        self.register_token_generator(
            "default",
            BearerTokenGenerator(
                access_token_generator=lambda **_: oauth.new_access_token(),
                expires_generator=lambda *_: current_backend().settings.oauth_token_seconds,
            ),
        )

    def create_oauth2_request(self, form: Form) -> FormRequest:
        """The routes hand in the form."""
        return FormRequest(form)

    def authenticate_client(self, sent: FormRequest, _methods: list[str], _endpoint: str = "token") -> Client:
        """Whoever sends a request, which then counts as one of the user's. Raises Unauthorized, TooManyRequests.

        Not by Authlib's own methods: these break at some headers, and take the secret from two places at once.
        """
        client = oauth.authenticate_client(current_backend(), *_credentials(sent.form))
        admit(client.caller)
        return Client(client)

    def save_token(self, token: Mapping[str, Any], sent: FormRequest) -> None:
        """Before the client gets it. Raises Unauthorized."""
        oauth.store_access_token(current_backend(), sent.client.known, token["access_token"])


class Revocation(RevocationEndpoint):  # type: ignore[misc] # Authlib has no types
    """RFC 7009, for access tokens. There are no others, so the hint says nothing."""

    def authenticate_token(self, sent: FormRequest, _client: Client) -> str:
        """The token as sent: whether the client has it shows when it is deleted."""
        if "token" not in sent.form:
            raise InvalidRequest("Parameter missing: token")
        return sent.form["token"]

    def revoke_token(self, token: str, sent: FormRequest) -> None:
        """At once, on every server."""
        oauth.revoke_access_token(current_backend(), sent.client.known, token)


def _credentials(form: Form) -> tuple[str, str]:
    """Client id and secret, sent in one of the two ways of RFC 6749, 2.3.1. Raises Unauthorized, InvalidRequest."""
    header = request.headers.get("Authorization")
    if header is None:
        if "client_id" not in form or "client_secret" not in form:
            raise Unauthorized("client_id and client_secret neither in the Authorization header nor in the body")
        return form["client_id"], form["client_secret"]
    client_id, client_secret = _decoded(header)
    if "client_secret" in form or form.get("client_id", client_id) != client_id:
        raise InvalidRequest("Client credentials sent in the Authorization header and in the body: one expected")
    return client_id, client_secret


def _decoded(header: str) -> tuple[str, str]:
    """Both are encoded like a form before they are joined."""
    basic = _BASIC.fullmatch(header)
    if not basic:
        raise Unauthorized("the Authorization header is not `Basic CREDENTIALS`")
    try:
        client_id, _, client_secret = b64decode(basic[1]).decode().partition(":")
        return unquote_plus(client_id, errors="strict"), unquote_plus(client_secret, errors="strict")
    except ValueError:
        raise Unauthorized("the Authorization header is not base64 of UTF-8 text") from None
