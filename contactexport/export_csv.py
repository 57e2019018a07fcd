"""The CSV dialect of every export, and its header.

UTF-8, `\\n` line ends, RFC 4180 quoting as csv.writer's QUOTE_MINIMAL does it; NULL and '' are both empty. The rows of
an export are written by Postgres' COPY in this very dialect (see docs/decisions/csv.md).
"""

import csv
import io
from collections.abc import Iterable, Sequence

from contactexport.models import ContactField

FIRST_COLUMN = "user_id"
LAST_COLUMN = "last update"


def header(fields: Sequence[ContactField], language: str, delimiter: str) -> bytes:
    """The header line: user_id, the names of the fields in the language, last update."""
    return line([FIRST_COLUMN, *(field.name_in(language) for field in fields), LAST_COLUMN], delimiter)


def line(values: Iterable[str | int | None], delimiter: str) -> bytes:
    """One line as csv.writer writes it, ended by `\\n`, in UTF-8.

    Written with CRLF and cut, because csv.writer quotes a lone CR or LF only if it stands in the line end (until
    Python 3.13), and an unquoted one would end the line for most readers (RFC 4180, 2.6).
    """
    written = io.StringIO()
    csv.writer(written, delimiter=delimiter, lineterminator="\r\n", quoting=csv.QUOTE_MINIMAL).writerow(
        values
    )
    return (written.getvalue()[:-2] + "\n").encode()
