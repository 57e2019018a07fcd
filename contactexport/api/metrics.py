"""GET /metrics, for Prometheus. An operator's bearer token, or an address in CONTACTEXPORT_METRICS_HOSTS, opens it."""

from ipaddress import ip_address

from flask import Blueprint, Response, g, request

from contactexport.api import responses
from contactexport.api.authentication import current_context
from contactexport.metrics import exposition
from contactexport.users.authenticate import require_operator

blueprint = Blueprint(responses.METRICS, __name__)


@blueprint.get("/metrics")
def metrics() -> Response:
    """Answers the figures as text. Raises Unauthorized."""
    context = current_context()
    hosts = context.settings.metrics_hosts
    if not (g.address and any(ip_address(g.address) in network for network in hosts)):
        require_operator(context, request.headers.get("Authorization"))
    return Response(exposition.text(context), content_type=exposition.CONTENT_TYPE)
