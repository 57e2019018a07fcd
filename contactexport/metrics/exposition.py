"""The text that Prometheus reads."""

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

from contactexport.context import Context
from contactexport.metrics import requests
from contactexport.metrics.collector import ServiceCollector

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4


def text(context: Context) -> bytes:
    """All figures: those of the service, which every server tells, then those of this server."""
    service = CollectorRegistry()
    service.register(ServiceCollector(context))
    return generate_latest(service) + generate_latest(requests.of_this_process().all_of_this_server())
