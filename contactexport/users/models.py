"""Who calls."""

from dataclasses import dataclass

from contactexport.users.client_rules import STRICT, ClientRules

DEFAULT_TEAM = "default"


@dataclass(frozen=True)
class Caller:
    """Who sends a request, and the rules for it. An operator sees every team's exports.

    A limit that is None is the one of the settings.
    """

    name: str
    team: str = DEFAULT_TEAM
    operator: bool = False
    rules: ClientRules = STRICT
    requests_per_minute: int | None = None
    exports_per_user: int | None = None
