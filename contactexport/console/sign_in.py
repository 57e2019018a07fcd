"""Signing in and out."""

from flask import Response, flash, g, make_response, redirect, render_template, request, url_for
from flask import session as form_session
from werkzeug.wrappers import Response as AnyResponse

from contactexport.console import session
from contactexport.console.blueprint import console, current_context, current_viewer
from contactexport.console.guard import COOKIE, note_action
from contactexport.errors import Unauthorized

WRONG = "No active user has this name and this token."
LONGEST_FIELD = 500
ONCE = "/console/sign-in/once/"


@console.before_app_request
def hide_link() -> None:
    """Keeps links out of the audit log, also those of requests that are refused before they reach their page."""
    if request.path.startswith(ONCE):
        g.logged_path = f"{ONCE}..."


@console.route("/sign-in", methods=["GET", "POST"])
def sign_in() -> AnyResponse:
    """Shows the form, and opens a session. `next` is the page of the console that was asked for."""
    wanted = _own_page(request.values.get("next", ""))
    if request.method != "POST":
        if "viewer" in g:
            return redirect(wanted, 303)
        return make_response(render_template("console/sign_in.html", next=wanted, name="", problem=""))
    name, token = (request.form.get(field, "")[:LONGEST_FIELD].strip() for field in ("name", "token"))
    try:
        session_id = session.sign_in(current_context(), name, token, g.address, request.user_agent.string)
    except Unauthorized:
        page = render_template("console/sign_in.html", next=wanted, name=name, problem=WRONG)
        return make_response(page, 403)
    return _signed_in(session_id, wanted)


@console.route("/sign-in/once/<link>", methods=["GET", "POST"])
def sign_in_once(link: str) -> AnyResponse:
    """Shows one button, so that a browser which fetches the page in advance does not use the link up."""
    if request.method != "POST":
        return make_response(render_template("console/sign_in_once.html", next=request.args.get("next", "")))
    try:
        session_id = session.sign_in_once(current_context(), link, g.address, request.user_agent.string)
    except Unauthorized:
        flash("This link was used before, or has expired. Sign in with your token.", "problem")
        return redirect(url_for("console.sign_in"), 303)
    return _signed_in(session_id, _own_page(request.form.get("next", "")))


@console.post("/sign-out")
def sign_out() -> AnyResponse:
    """Ends this session."""
    with current_context().database.autocommit() as conn:
        session.sign_out(conn, request.cookies.get(COOKIE, ""))
    note_action("signed out")
    return _signed_out()


@console.post("/sign-out/everywhere")
def sign_out_everywhere() -> AnyResponse:
    """Ends every session of the user, in every browser."""
    with current_context().database.autocommit() as conn:
        ended = session.sign_out_everywhere(conn, current_viewer().name)
    note_action("signed out everywhere", sessions=ended)
    return _signed_out()


def _signed_in(session_id: str, page: str) -> Response:
    form_session.clear()  # a token that somebody planted before the sign-in is worth nothing after it
    answer = redirect(page, 303)
    answer.set_cookie(
        COOKIE,
        session_id,
        max_age=session.LONGEST_SECONDS,
        path="/console",
        secure=request.is_secure,
        httponly=True,
        samesite="Strict",
    )
    return answer  # type: ignore[return-value]


def _signed_out() -> AnyResponse:
    form_session.clear()
    flash("You are signed out.", "done")
    answer = redirect(url_for("console.sign_in"), 303)
    answer.delete_cookie(COOKIE, path="/console", secure=request.is_secure, httponly=True, samesite="Strict")
    return answer


def _own_page(wanted: str) -> str:
    """The page if it is one of the console, else the overview. Browsers read a backslash as a slash."""
    is_own = wanted.startswith("/console/") and "\\" not in wanted and "//" not in wanted and wanted.isprintable()
    return wanted if is_own else url_for("console.overview")
