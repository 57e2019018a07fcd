"""Who calls."""

from dataclasses import dataclass
from typing import Protocol

from contactexport.users.client_rules import STRICT, ClientRules

DEFAULT_TEAM = "default"
OPERATOR, VIEWER = "operator", "viewer"


class HasRole(Protocol):
    """What may be an operator or a viewer."""

    @property
    def operator(self) -> bool:
        """Sees and does everything."""

    @property
    def viewer(self) -> bool:
        """Sees everything."""


def role_of(user: HasRole) -> str | None:
    """`operator`, `viewer`, or None: a user of a team."""
    return OPERATOR if user.operator else VIEWER if user.viewer else None


@dataclass(frozen=True)
class Caller:
    """Who sends a request, and the rules for it.

    Operators and viewers see every team's exports. A viewer changes nothing. A limit that is None is that of the
    settings.
    """

    name: str
    team: str = DEFAULT_TEAM
    operator: bool = False
    viewer: bool = False
    rules: ClientRules = STRICT
    requests_per_minute: int | None = None
    exports_per_user: int | None = None

    @property
    def role(self) -> str | None:
        """`operator`, `viewer`, or None: a user of a team."""
        return role_of(self)

    @property
    def sees_all(self) -> bool:
        """True when the caller sees what belongs to other teams."""
        return self.operator or self.viewer
