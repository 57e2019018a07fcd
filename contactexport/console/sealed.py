"""Secrets between a preview and the sending of a form: encrypted in the page, for one user, one place and one hour."""

import json
import time
from collections.abc import Mapping, Sequence

from contactexport.errors import SecretUnreadable
from contactexport.secrets.box import SecretBox

LIFE_SECONDS = 3600


def seal(box: SecretBox, user: str, place: Sequence[str], secrets: Mapping[str, str]) -> str:
    """The secrets, readable for this service only. `place` is where they may be sent."""
    content = {"user": user, "place": list(place), "until": time.time() + LIFE_SECONDS, "secrets": dict(secrets)}
    return box.encrypt(json.dumps(content)).decode()


def unseal(box: SecretBox, user: str, place: Sequence[str], sealed: str) -> dict[str, str]:
    """The secrets again. Empty if they were sealed for somebody else or another place, are too old, or not ours."""
    try:
        content = json.loads(box.decrypt(sealed.encode()))
    except (SecretUnreadable, ValueError):
        return {}
    if not isinstance(content, dict) or (content.get("user"), content.get("place")) != (user, list(place)):
        return {}
    return dict(content["secrets"]) if time.time() < content["until"] else {}
