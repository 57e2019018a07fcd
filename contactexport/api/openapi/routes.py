"""GET openapi.json for tools, and GET /docs for people. Both are open to everybody."""

from functools import cache

from flask import Blueprint, Response, jsonify, make_response, render_template, url_for

from contactexport.api.openapi import docs_page
from contactexport.api.openapi.document import document

# Our own style sheet, script and icon. The script calls this service only, and makes no markup from texts.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)

blueprint = Blueprint("openapi", __name__)
pages = Blueprint(
    "pages", __name__, template_folder="templates", static_folder="static", static_url_path="/docs/assets"
)


@blueprint.get("/openapi.json")
def openapi() -> Response:
    """Answers the document itself, without the envelope, as tools expect."""
    return jsonify(document())


@cache
def operations() -> list[docs_page.Operation]:
    """Returns the content of the page. It is the same for everybody and built once."""
    return docs_page.operations(document())


@pages.get("/")
def start() -> Response:
    """Redirects browsers from the address of the service to the page."""
    return Response(status=302, headers={"Location": url_for("pages.docs")})


@pages.get("/docs")
def docs() -> Response:
    """Answers the page."""
    page = make_response(render_template("docs.html", api=document(), operations=operations()))
    page.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    return page
