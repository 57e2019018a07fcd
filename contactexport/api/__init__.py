"""The HTTP API: one blueprint a topic, one envelope for every answer, the same routes under /api/v2 and /api/v3."""

from flask import Blueprint, Flask

from contactexport.api import (
    audit,
    authentication,
    catalogue_routes,
    contact_data_routes,
    contact_routes,
    download_routes,
    export_routes,
    health_routes,
    oauth_routes,
    openapi_routes,
    rate_limit_headers,
    replies,
    security_headers,
    settings_routes,
    trailing_slash,
)


def init_app(app: Flask) -> None:
    """Adds the API to an application."""
    app.json.sort_keys = False  # type: ignore[attr-defined] # the default provider has it
    # Flask's own answers to OPTIONS and to `//` in a path would not be in the envelope: they become 405 and 404.
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False
    app.url_map.merge_slashes = False
    replies.init_app(app)
    security_headers.init_app(app)
    trailing_slash.init_app(app)
    audit.init_app(app)
    rate_limit_headers.init_app(app)
    authentication.init_app(app)
    for version in ("v2", "v3"):
        api = Blueprint(version, __name__, url_prefix=f"/api/{version}")
        for routes in (
            contact_routes,
            contact_data_routes,
            export_routes,
            download_routes,
            catalogue_routes,
            settings_routes,
            openapi_routes,
        ):
            api.register_blueprint(routes.blueprint)
        app.register_blueprint(api)
    app.register_blueprint(oauth_routes.blueprint)
    app.register_blueprint(health_routes.blueprint)
    app.register_blueprint(openapi_routes.pages)
