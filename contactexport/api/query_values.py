"""Values of the query string and of paths, as several routes take them."""

from collections.abc import Mapping

from contactexport.api.request_fields import integer
from contactexport.errors import InvalidRequest
from contactexport.models import Catalogue, ContactField


def page_number(asked: Mapping[str, str], name: str, default: int) -> int:
    """A whole number from 0 on. What is empty counts as not given. Raises InvalidRequest.

    Some clients put a slash behind the whole URL, and so behind the last of its numbers.
    """
    sent = asked.get(name, "").removesuffix("/") or str(default)
    number = integer(sent)
    if number is None:
        raise InvalidRequest(f"Invalid value for {name}: {sent}")
    return number


def contact_field(catalogue: Catalogue, sent: str) -> ContactField:
    """The field of the catalogue with this id. Raises InvalidRequest."""
    number = integer(sent)
    if number is None or number not in catalogue.fields:
        raise InvalidRequest(f"Invalid contact field id: {sent}")
    return catalogue.fields[number]
