"""Values of query strings and paths that several routes read."""

from collections.abc import Mapping

from contactexport.api.request_fields import integer
from contactexport.catalogue import Catalogue, ContactField
from contactexport.errors import InvalidRequest


def page_number(asked: Mapping[str, str], name: str, default: int) -> int:
    """Returns a whole number from 0 on. An empty value gives the default. Raises InvalidRequest.

    Some clients add a slash to the whole URL, and so to its last number.
    """
    sent = asked.get(name, "").removesuffix("/") or str(default)
    number = integer(sent)
    if number is None:
        raise InvalidRequest(f"Invalid value for {name}: {sent}")
    return number


def contact_field(catalogue: Catalogue, sent: str) -> ContactField:
    """Returns the field of the catalogue with this id. Raises InvalidRequest."""
    number = integer(sent)
    if number is None or number not in catalogue.fields:
        raise InvalidRequest(f"Invalid contact field id: {sent}")
    return catalogue.fields[number]
