"""POST /oauth2/token and /oauth2/revoke. Their answers follow RFC 6749 (5.1, 5.2), without the envelope."""

import logging
import re

from flask import Blueprint, Response, jsonify, request

from contactexport.api import responses
from contactexport.api.oauth_server import OauthServer, Revocation
from contactexport.api.request_form import load_form
from contactexport.errors import InvalidRequest, Unauthorized

# Error codes of RFC 6749 (5.2 and 4.1.2.1). Other routes use reply codes.
CODES = {401: "invalid_client", 429: "temporarily_unavailable", 500: "server_error", 503: "temporarily_unavailable"}
NOT_IN_DESCRIPTION = re.compile(r"[^\x20-\x21\x23-\x5b\x5d-\x7e]")

logger = logging.getLogger(__name__)
blueprint = Blueprint("oauth", __name__, url_prefix="/oauth2")
server = OauthServer()


@blueprint.post("/token")
def token() -> Response:
    """Answers an access token for a client id and secret."""
    form = load_form(request)
    if "grant_type" not in form:
        raise InvalidRequest("Parameter missing: grant_type (client_credentials expected)")
    response: Response = server.create_token_response(form)
    return response


@blueprint.post("/revoke")
def revoke() -> Response:
    """Ends an access token of the client that asks."""
    response: Response = server.create_endpoint_response(Revocation.ENDPOINT_NAME, load_form(request))
    return response


@blueprint.errorhandler(Exception)
def refuse(raised: Exception) -> Response:
    """Answers the errors of this service in the form of RFC 6749. Authlib answers its own errors."""
    told = responses.explain(raised)
    if isinstance(raised, Unauthorized):
        logger.info("client refused: %s", raised)
    description = NOT_IN_DESCRIPTION.sub("?", told.text)[:200]
    response = jsonify(error=CODES.get(told.http_status, "invalid_request"), error_description=description)
    response.status_code = told.http_status
    response.headers.update(told.headers)
    if told.http_status == 401:
        response.headers["WWW-Authenticate"] = 'Basic realm="contactexport"'
    return response


@blueprint.after_request
def forbid_caching(response: Response) -> Response:
    """RFC 6749, 5.1. Pragma is for HTTP/1.0."""
    response.headers["Cache-Control"] = "no-store"
    response.headers["Pragma"] = "no-cache"
    return response
