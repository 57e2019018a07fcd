"""Reads the form in the body of a request, as strictly as RFC 6749 wants it (3.2 and appendix B)."""

from collections import Counter
from urllib.parse import parse_qsl

from flask import Request

from contactexport.api.request_body import read_body
from contactexport.errors import InvalidRequest

FORM = "application/x-www-form-urlencoded"
MOST_PARAMETERS = 50


def load_form(request: Request) -> dict[str, str]:
    """The parameters by name. One without a value counts as not sent.

    Raises InvalidRequest for another declared type than a form, for a body that is none, and for a parameter that is
    sent twice. Raises what read_body raises.
    """
    if request.mimetype != FORM:
        raise InvalidRequest(f"Content-Type {request.mimetype or 'missing'}: {FORM} expected")
    try:
        sent = parse_qsl(read_body(request).decode(), errors="strict", max_num_fields=MOST_PARAMETERS)
    except ValueError:
        raise InvalidRequest(f"The body is no form of UTF-8 text with at most {MOST_PARAMETERS} parameters") from None
    for name, times in Counter(name for name, _ in sent).items():
        if times > 1:
            raise InvalidRequest(f"Parameter sent twice: {name}")
    return dict(sent)
