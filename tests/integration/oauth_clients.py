"""OAuth clients for the tests, and the token requests they send."""

from base64 import b64encode
from typing import Any

from contactexport.backend import Backend
from contactexport.services import manage_users
from contactexport.services.manage_users import NewCredentials

TOKEN = "/oauth2/token"
GRANT = {"grant_type": "client_credentials"}


def add_client(backend: Backend, name: str, **rights: Any) -> NewCredentials:
    """A user that has an OAuth client and nothing else."""
    return manage_users.add_user(
        backend, name, with_wsse=False, with_token=False, with_oauth=True, rights=manage_users.Rights(**rights)
    )


def basic(client_id: str | None, client_secret: str | None) -> dict[str, str]:
    """The header of HTTP Basic."""
    return {"Authorization": "Basic " + b64encode(f"{client_id}:{client_secret}".encode()).decode()}


def bearer(token: str) -> dict[str, str]:
    """The header that sends a token."""
    return {"Authorization": f"Bearer {token}"}


def in_form(made: NewCredentials) -> dict[str, str]:
    """The parameters of a token request that authenticates in the body."""
    return GRANT | {"client_id": str(made.client_id), "client_secret": str(made.client_secret)}


def access_token(client: Any, made: NewCredentials) -> str:
    """A token just issued."""
    answer = client.post(TOKEN, data=GRANT, headers=basic(made.client_id, made.client_secret))
    assert answer.status_code == 200, answer.text
    return answer.get_json()["access_token"]
