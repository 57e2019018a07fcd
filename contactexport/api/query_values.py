"""Values of query strings and paths that several routes read."""

from collections.abc import Iterable, Mapping

from flask import Request

from contactexport.api.request_fields import integer
from contactexport.catalogue import Catalogue, ContactField
from contactexport.errors import InvalidRequest


def query_of(request: Request) -> list[tuple[str, str]]:
    """Returns the parameters of the query. Raises InvalidRequest if its bytes are not UTF-8."""
    try:
        return list(request.args.items(multi=True))
    except UnicodeDecodeError:
        raise InvalidRequest("Invalid query: UTF-8 text expected") from None


def refuse_nul(values: Iterable[tuple[str, object]]) -> None:
    """Raises InvalidRequest for a name or a text with a NUL character, which Postgres and file systems cannot have.

    The error does not show the text, which may be a secret.
    """
    for name, value in values:
        if "\0" in name or (isinstance(value, str) and "\0" in value):
            shown = name.replace("\0", "\N{REPLACEMENT CHARACTER}")
            raise InvalidRequest(f"Invalid value for {shown}: it has a NUL character")


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
