"""Users: who may call the API and open the console, with their tokens and sessions. A user of a team sees itself."""

from collections.abc import Mapping
from typing import Any, TypedDict

from flask import flash, g, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from contactexport.console import session
from contactexport.console.blueprint import console, current_context, current_viewer
from contactexport.console.errors import Forbidden
from contactexport.console.guard import COOKIE, note_action
from contactexport.db.queries import queries
from contactexport.errors import UsageError
from contactexport.users import manage
from contactexport.users import store as user_store
from contactexport.users.authenticate import token_hash
from contactexport.users.manage import NewCredentials
from contactexport.users.models import DEFAULT_TEAM, OPERATOR, VIEWER
from contactexport.users.store import Rights

MOST_SESSIONS = 200
USERS_PER_PAGE = 100


class Kinds(TypedDict):
    """The kinds of credentials, as `users.manage` takes them."""

    with_token: bool
    with_wsse: bool
    with_oauth: bool


LIMITS = ("requests_per_minute", "exports_per_user")
LARGEST_LIMIT = 2**31 - 1


@console.get("/users")
def users() -> str:
    """Users by name, those after `after`. Of a team's user only itself."""
    return users_page()


@console.post("/users")
def add_user() -> str | tuple[str, int]:
    """Adds a user. Its credentials are on this one page and never again."""
    require_operator()
    name = request.form.get("name", "").strip()
    try:
        rights = Rights(**rights_of(request.form))
        new = manage.add_user(current_context(), name, rights=rights, expires=expires_of(request.form), **kinds())
    except UsageError as wrong:
        return users_page(wrong=plain(wrong), values=request.form), 400
    note_action("user added", added=name, kinds=new.kinds, **manage.told(rights, new.token_expires_at))
    return user_page(name, new=new)


@console.get("/users/user")
def user() -> str:
    """One user, named by the query. Its sessions, and what an operator may change."""
    return user_page(request.args.get("name", ""))


@console.post("/users/rights")
def change_user() -> Response | tuple[str, int]:
    """Changes role, team and limits of a user. They count from its next request on."""
    require_operator()
    name = request.form.get("name", "")
    try:
        changed = manage.set_user(current_context(), name, expires_of(request.form), rights_of(request.form))
    except UsageError as wrong:
        return user_page(name, wrong=plain(wrong)), 400
    note_action("user changed", changed=name, **manage.told(changed.rights, changed.token_expires_at))
    flash(f"{name} is changed.", "done")
    return redirect(url_for("console.user", name=name), 303)


@console.post("/users/credentials")
def new_credentials() -> str | tuple[str, int]:
    """Replaces credentials of a user. The new ones are on this one page and never again."""
    require_operator()
    name = request.form.get("name", "")
    try:
        new = manage.rotate_user(current_context(), name, expires=expires_of(request.form), **kinds())
    except UsageError as wrong:
        return user_page(name, wrong=plain(wrong)), 400
    note_action("credentials replaced", changed=name, kinds=new.kinds)
    return user_page(name, new=new)


@console.post("/users/revoke")
def revoke_user() -> Response | tuple[str, int]:
    """Ends all credentials and sessions of a user."""
    require_operator()
    name = request.form.get("name", "")
    try:
        manage.revoke_user(current_context(), name)
    except UsageError as wrong:
        return users_page(wrong=plain(wrong)), 400
    note_action("user revoked", changed=name)
    flash(f"{name} is revoked: its credentials and sessions have ended. Accepted exports go on.", "done")
    return redirect(url_for("console.users"), 303)


@console.post("/users/sessions")
def end_session() -> Response:
    """Ends one session, or all of a user. One's own, or as an operator anybody's."""
    name, one = request.form.get("name", ""), request.form.get("session")
    if name != g.viewer.name:
        require_operator()
    with current_context().database.autocommit() as conn:
        if one:
            ended = int(queries("console_users").end_session(conn, name=name, id=one))
        else:
            ended = session.sign_out_everywhere(conn, name)
    if ended:
        note_action("session ended" if one else "signed out everywhere", changed=name, sessions=ended)
        flash("The session has ended." if one else f"All sessions of {name} have ended.", "done")
    else:
        flash("There was no such session any more.", "problem")
    return redirect(url_for("console.user", name=name), 303)


def users_page(wrong: str = "", values: Mapping[str, Any] | None = None) -> str:
    """The list of users, with what is wrong with the form of a new one."""
    context, only = current_context(), None if g.viewer.sees_all else g.viewer.name
    after = request.args.get("after", "").replace("\0", "") or None
    with context.database.autocommit() as conn:
        sessions = sessions_of(conn, only)
        found = user_store.page(conn, only, after, USERS_PER_PAGE + 1)
    counts: dict[str, int] = {}
    for one in sessions:
        counts[one["name"]] = counts.get(one["name"], 0) + 1
    return render_template(
        "console/users.html",
        users=found[:USERS_PER_PAGE],
        following=url_for("console.users", after=found[-2].name) if len(found) > USERS_PER_PAGE else None,
        first=url_for("console.users") if after else None,
        sessions=counts,
        settings=context.settings,
        wrong=wrong,
        values=values or {"team": DEFAULT_TEAM, "token": "1"},
        may_change=g.viewer.role == OPERATOR,
    )


def user_page(name: str, wrong: str = "", new: NewCredentials | None = None) -> str:
    """The page of a user. Raises Forbidden for one that is not the viewer's to see."""
    context = current_context()
    refusal = Forbidden("There is no such user, or you may not see it")
    if not (g.viewer.sees_all or name == g.viewer.name) or "\0" in name:
        raise refusal
    with context.database.autocommit() as conn:
        found = next(iter(user_store.page(conn, name, None, 1)), None)
        sessions = sessions_of(conn, name)
    if found is None:
        raise refusal
    return render_template(
        "console/user.html",
        user=found,
        sessions=sessions,
        own_session=token_hash(request.cookies.get(COOKIE, "")).hex(),
        settings=context.settings,
        wrong=wrong,
        new=new,
        may_change=g.viewer.role == OPERATOR and found.revoked_at is None,
    )


def sessions_of(conn: Any, name: str | None) -> list[dict[str, Any]]:
    """The sessions that are alive, newest first. None: of all users."""
    return list(
        queries("console_users").sessions(conn, name=name, idle_seconds=session.IDLE_SECONDS, most=MOST_SESSIONS)
    )


def require_operator() -> None:
    """Raises Forbidden unless an operator asks."""
    if current_viewer().role != OPERATOR:
        raise Forbidden("Only an operator changes users")


def kinds() -> Kinds:
    """Which credentials the form asks for. None: those that `users.manage` makes or replaces by itself."""
    return Kinds(
        with_token="token" in request.form, with_wsse="wsse" in request.form, with_oauth="oauth" in request.form
    )


def rights_of(form: Mapping[str, str]) -> dict[str, Any]:
    """The rights of the form. Raises UsageError for a limit that is none."""
    limits: dict[str, int | None] = {}
    for name in LIMITS:
        text = form.get(name, "").strip()
        is_number = text.isascii() and text.isdigit() and len(text) <= len(str(LARGEST_LIMIT))
        if text and not (is_number and 1 <= int(text) <= LARGEST_LIMIT):
            raise UsageError(
                f"Invalid {name.replace('_', ' ')} {text!r}: a whole number from 1 on expected, or nothing"
            )
        limits[name] = int(text) if text else None
    role = form.get("role")
    return {
        "operator": role == OPERATOR,
        "viewer": role == VIEWER,
        "team": form.get("team", "").strip() or DEFAULT_TEAM,
        "compatible": "compatible" in form,
        "replay": "off" if "replay_off" in form else "strict",
        **limits,
    }


def expires_of(form: Mapping[str, str]) -> str | None:
    """When a token ends, as `flask users` takes it."""
    return form.get("expires", "").strip() or None


def plain(wrong: UsageError) -> str:
    """The text without the names of options, which the page does not have."""
    return wrong.text.replace(
        "--expires is for tokens: give --token too", "Only a token expires: ask for one, too"
    ).replace("--expires", "expiry")
