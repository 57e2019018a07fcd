"""OAuth clients for the tests, and the token requests they send."""

from base64 import b64encode
from typing import Any

from contactexport.context import Context
from contactexport.users import manage
from contactexport.users.manage import NewCredentials

TOKEN = "/oauth2/token"
GRANT = {"grant_type": "client_credentials"}


def add_client(context: Context, name: str, **rights: Any) -> NewCredentials:
    """A user that has only an OAuth client."""
    return manage.add_user(
        context, name, with_wsse=False, with_token=False, with_oauth=True, rights=manage.Rights(**rights)
    )


def basic(client_id: str | None, client_secret: str | None) -> dict[str, str]:
    """The header of HTTP Basic authentication."""
    return {"Authorization": "Basic " + b64encode(f"{client_id}:{client_secret}".encode()).decode()}


def bearer(token: str) -> dict[str, str]:
    """The header that sends a token."""
    return {"Authorization": f"Bearer {token}"}


def in_form(made: NewCredentials) -> dict[str, str]:
    """The parameters of a token request that authenticates in the body."""
    return GRANT | {"client_id": str(made.client_id), "client_secret": str(made.client_secret)}


def access_token(client: Any, made: NewCredentials) -> str:
    """A new token."""
    answer = client.post(TOKEN, data=GRANT, headers=basic(made.client_id, made.client_secret))
    assert answer.status_code == 200, answer.text
    return answer.get_json()["access_token"]
