"""The HTTP API: one blueprint per topic, one envelope for every answer, the same routes under /api/v2 and /api/v3."""

from flask import Blueprint, Flask

from contactexport.api import (
    account,
    authentication,
    catalogue,
    contact_data,
    downloads,
    exports,
    feeds,
    health,
    manifests,
    metrics,
    oauth,
    responses,
)
from contactexport.api.openapi import routes as openapi_routes


def init_app(app: Flask) -> None:
    """Adds the API to an application."""
    app.json.sort_keys = False  # type: ignore[attr-defined] # Flask's default provider has both
    app.json.compact = True  # type: ignore[attr-defined]
    # The answers of Flask to OPTIONS and to `//` in a path are not in the envelope. So they become 405 and 404.
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False
    app.url_map.merge_slashes = False
    # Every path answers with and without one trailing slash (contract, Request). A redirect would lose the body of a
    # POST, and in many clients the headers with the credentials.
    app.url_map.strict_slashes = False
    responses.init_app(app)
    authentication.init_app(app)
    for version in ("v2", "v3"):
        api = Blueprint(version, __name__, url_prefix=f"/api/{version}")
        for routes in (
            contact_data,
            exports,
            downloads,
            feeds,
            manifests,
            catalogue,
            account,
            openapi_routes,
        ):
            api.register_blueprint(routes.blueprint)
        app.register_blueprint(api)
    app.register_blueprint(oauth.blueprint)
    app.register_blueprint(health.blueprint)
    app.register_blueprint(metrics.blueprint)
    app.register_blueprint(openapi_routes.pages)
