"""GET openapi.json for tools, and GET /docs for people. Both are open to everybody."""

from flask import Blueprint, Response, jsonify, make_response, render_template, url_for

from contactexport.api.openapi import docs_page
from contactexport.api.openapi.document import document

# Only our own style sheet: no script, no image, no form, no frame.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

blueprint = Blueprint("openapi", __name__)
pages = Blueprint(
    "pages", __name__, template_folder="templates", static_folder="static", static_url_path="/docs/assets"
)


@blueprint.get("/openapi.json")
def openapi() -> Response:
    """Answers the document itself, without the envelope, as tools expect."""
    return jsonify(document())


@pages.get("/")
def start() -> Response:
    """Redirects browsers from the address of the service to the page."""
    return Response(status=302, headers={"Location": url_for("pages.docs")})


@pages.get("/docs")
def docs() -> Response:
    """Answers the page."""
    page = make_response(render_template("docs.html", api=document(), operations=docs_page.operations(document())))
    page.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    return page
