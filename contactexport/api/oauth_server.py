"""Connects the OAuth 2.0 server of Authlib with the requests, clients and tokens of this service."""

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

from contactexport.api.authentication import admit, current_context
from contactexport.errors import InvalidRequest, Unauthorized
from contactexport.users import oauth
from contactexport.users.oauth_store import OauthClient

Form = Mapping[str, str]

# At DEBUG it would log access tokens.
logging.getLogger("authlib").setLevel(logging.INFO)

_BASIC = re.compile(r"basic +([A-Za-z0-9+/]+=*) *", re.IGNORECASE)


class FormRequest(OAuth2Request):  # type: ignore[misc] # Authlib has no types
    """The request as Authlib sees it. Only the form counts, never the URL.

    Authlib refuses a request whose URL is not https. This service gets plain http from the proxy that does TLS (see
    "Many machines" in docs/operations.md), so Authlib gets a fixed https URL.
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
    """The client as Authlib sees it."""

    known: OauthClient

    def check_grant_type(self, _grant_type: str) -> bool:
        """Returns True: every client may use the only grant."""
        return True

    def get_allowed_scope(self, scope: str | None) -> str | None:
        """Returns None for any scope, because there are none. Authlib then answers invalid_scope."""
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
                expires_generator=lambda *_: current_context().settings.oauth_token_seconds,
            ),
        )

    def create_oauth2_request(self, form: Form) -> FormRequest:
        """Wraps the form that the routes pass."""
        return FormRequest(form)

    def authenticate_client(self, sent: FormRequest, _methods: list[str], _endpoint: str = "token") -> Client:
        """Returns the client and counts the request as one of its user. Raises Unauthorized, TooManyRequests.

        The methods of Authlib are not used: they break at some headers, and take a secret from two places at once.
        """
        client = oauth.authenticate_client(current_context(), *_credentials(sent.form))
        admit(client.caller)
        return Client(client)

    def save_token(self, token: Mapping[str, Any], sent: FormRequest) -> None:
        """Stores the token before the client gets it. Raises Unauthorized."""
        oauth.store_access_token(current_context(), sent.client.known, token["access_token"])


class Revocation(RevocationEndpoint):  # type: ignore[misc] # Authlib has no types
    """RFC 7009, for access tokens. There are no other tokens, so the hint is ignored."""

    def authenticate_token(self, sent: FormRequest, _client: Client) -> str:
        """Returns the token as sent. Whether the client has it shows when it is deleted."""
        if "token" not in sent.form:
            raise InvalidRequest("Parameter missing: token")
        return sent.form["token"]

    def revoke_token(self, token: str, sent: FormRequest) -> None:
        """Revokes it at once, on every server."""
        oauth.revoke_access_token(current_context(), sent.client.known, token)


def _credentials(form: Form) -> tuple[str, str]:
    """Returns client id and secret, sent in one of the ways of RFC 6749, 2.3.1. Raises Unauthorized, InvalidRequest."""
    header = request.headers.get("Authorization")
    if header is None:
        if "client_id" not in form or "client_secret" not in form:
            raise Unauthorized("client_id and client_secret neither in the Authorization header nor in the body")
        return form["client_id"], form["client_secret"]
    basic = _BASIC.fullmatch(header)
    if not basic:
        raise Unauthorized("the Authorization header is not `Basic CREDENTIALS`")
    try:
        joined_id, _, joined_secret = b64decode(basic[1]).decode().partition(":")
        # Both are encoded like a form before they are joined.
        client_id, client_secret = (unquote_plus(one, errors="strict") for one in (joined_id, joined_secret))
    except ValueError:
        raise Unauthorized("the Authorization header is not base64 of UTF-8 text") from None
    if "client_secret" in form or form.get("client_id", client_id) != client_id:
        raise InvalidRequest("Client credentials sent in the Authorization header and in the body: one expected")
    return client_id, client_secret
