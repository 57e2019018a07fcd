"""Reads the form in the body of a request, as strictly as RFC 6749 demands (3.2 and appendix B)."""

from collections import Counter
from urllib.parse import parse_qsl

from flask import Request

from contactexport.api.request_json import read_body
from contactexport.errors import InvalidRequest

FORM = "application/x-www-form-urlencoded"
MAX_PARAMETERS = 50


def load_form(request: Request) -> dict[str, str]:
    """Returns the parameters by name. A parameter without a value counts as not sent.

    Raises InvalidRequest if another type than a form is declared, if the body is not a form, or if a parameter is sent
    twice. Raises what read_body raises.
    """
    if request.mimetype != FORM:
        raise InvalidRequest(f"Content-Type {request.mimetype or 'missing'}: {FORM} expected")
    try:
        sent = parse_qsl(read_body(request).decode(), errors="strict", max_num_fields=MAX_PARAMETERS)
    except ValueError:
        raise InvalidRequest(f"The body is no form of UTF-8 text with at most {MAX_PARAMETERS} parameters") from None
    for name, times in Counter(name for name, _ in sent).items():
        if times > 1:
            raise InvalidRequest(f"Parameter sent twice: {name}")
    return dict(sent)
