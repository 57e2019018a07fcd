"""The manifest of an export, and the public keys that verify manifests."""

from flask import Blueprint, Response, g, request

from contactexport.api import responses
from contactexport.api.authentication import current_context
from contactexport.api.exports import export_id_of
from contactexport.exports import download
from contactexport.manifests import store
from contactexport.manifests.manifest import digest

blueprint = Blueprint("manifest", __name__)


@blueprint.get("/export/<export_id>/manifest")
def manifest(export_id: str) -> Response:
    """Answers the manifest of an export that is done, byte for byte as it was signed, so without the envelope."""
    written = download.manifest(current_context(), export_id_of(export_id), g.caller).encode()
    response = Response(written, content_type="application/json")
    response.headers["Cache-Control"] = "private, no-cache"
    response.set_etag(digest(written))
    response.make_conditional(request.environ)
    return response


@blueprint.get("/manifest-keys")
def keys() -> Response:
    """Answers the public keys, oldest first."""
    return responses.reply(store.public_key_set(current_context()))
