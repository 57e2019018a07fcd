"""The blueprint on which every page of the console registers its routes, and what a request of the console knows."""

from dataclasses import dataclass
from typing import Protocol, cast

from flask import Blueprint, current_app, g

from contactexport.context import Context
from contactexport.users.models import OPERATOR, Caller

console = Blueprint("console", __name__, url_prefix="/console", template_folder="templates", static_folder="static")


class OfTeam(Protocol):
    """What belongs to a team: an export or a feed."""

    @property
    def team(self) -> str:
        """The name of the team."""


@dataclass(frozen=True)
class Viewer:
    """Who looks at the page: `g.viewer`. `role` is `operator`, `viewer`, or None for a user of a team."""

    caller: Caller

    @property
    def name(self) -> str:
        """The user's name."""
        return self.caller.name

    @property
    def team(self) -> str:
        """The user's team."""
        return self.caller.team

    @property
    def role(self) -> str | None:
        """`operator`, `viewer`, or None: a user of a team."""
        return self.caller.role

    @property
    def sees_all(self) -> bool:
        """True when the pages show what belongs to every team."""
        return self.caller.sees_all

    @property
    def may_act(self) -> bool:
        """True when the pages have buttons at all."""
        return not self.caller.viewer

    def may_act_on(self, owned: OfTeam) -> bool:
        """True when the pages have buttons for this export or feed."""
        return self.role == OPERATOR or (self.may_act and owned.team == self.team)


def current_context() -> Context:
    """The context of the running application."""
    return cast(Context, current_app.extensions["contactexport"])


def current_viewer() -> Viewer:
    """Who looks at the page. Every page but those of the sign-in has one."""
    return cast(Viewer, g.viewer)
