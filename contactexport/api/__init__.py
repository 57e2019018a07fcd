"""The HTTP API: one blueprint a topic, one envelope for every answer."""

from flask import Flask

from contactexport.api import (
    audit,
    authentication,
    catalogue_routes,
    contact_routes,
    download_routes,
    export_routes,
    health_routes,
    openapi_routes,
    replies,
    security_headers,
)


def init_app(app: Flask) -> None:
    """Adds the API to an application."""
    app.json.sort_keys = False  # type: ignore[attr-defined] # the default provider has it
    # Flask's own answers to OPTIONS and to `//` in a path would not be in the envelope: they become 405 and 404.
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False
    app.url_map.merge_slashes = False
    replies.init_app(app)
    security_headers.init_app(app)
    audit.init_app(app)
    authentication.init_app(app)
    for routes in (contact_routes, export_routes, download_routes, catalogue_routes, health_routes, openapi_routes):
        app.register_blueprint(routes.blueprint)
