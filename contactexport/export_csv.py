"""The CSV dialect of every export, and its header.

UTF-8, `\\n` line ends, RFC 4180 quoting as csv.writer's QUOTE_MINIMAL does it; NULL and '' are both empty. The rows of
an export are written by Postgres' COPY in this very dialect (see docs/decisions/csv.md).
"""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from typing import BinaryIO

from contactexport.models import ContactField

FIRST_COLUMN = "user_id"
LAST_COLUMN = "last update"


def column_names(fields: Sequence[ContactField], language: str) -> list[str]:
    """user_id, the names of the fields in the language, last update."""
    return [FIRST_COLUMN, *(field.name_in(language) for field in fields), LAST_COLUMN]


def header(fields: Sequence[ContactField], language: str, delimiter: str) -> bytes:
    """The header line."""
    return line(column_names(fields, language), delimiter)


def line(values: Iterable[str | int | None], delimiter: str) -> bytes:
    """One line as csv.writer writes it, ended by `\\n`, in UTF-8.

    Written with CRLF and cut, because csv.writer quotes a lone CR or LF only if it stands in the line end (until
    Python 3.11.9, 3.12.3 and 3.13), and an unquoted one would end the line for most readers (RFC 4180, 2.6).
    """
    written = io.StringIO()
    csv.writer(written, delimiter=delimiter, lineterminator="\r\n", quoting=csv.QUOTE_MINIMAL).writerow(values)
    return (written.getvalue()[:-2] + "\n").encode()


# The spreadsheet profile: what Excel and others need to read the file, and what keeps them from running it.
BYTE_ORDER_MARK = "\ufeff"
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
NUMBER = re.compile(r"[+-]?\d+([.,]\d+)*", re.ASCII)
PHONE_NUMBER = re.compile(r"\+(?=(?:\D*\d){5})\d[\d ()/.-]*", re.ASCII)


def write_spreadsheet(
    header_values: Iterable[str] | None,
    rows: Iterable[Sequence[str | int | None]],
    delimiter: str,
    to: BinaryIO,
) -> int:
    """Writes BOM, header (None: none) and rows with CRLF line ends, cells that look like formulas made harmless.

    Memory stays flat when `rows` is a generator. Returns the rows.
    """
    text = io.TextIOWrapper(to, encoding="utf-8", newline="")
    text.write(BYTE_ORDER_MARK)
    writer = csv.writer(text, delimiter=delimiter, lineterminator="\r\n", quoting=csv.QUOTE_MINIMAL)
    if header_values is not None:
        writer.writerow([harmless(value) for value in header_values])
    written = 0
    for row in rows:
        writer.writerow([harmless(value) if isinstance(value, str) else value for value in row])
        written += 1
    text.detach()
    return written


def harmless(cell: str) -> str:
    """The cell with a leading `'` when a spreadsheet would take it for a formula.

    Numbers and plain phone numbers stay as they are (OWASP, "CSV Injection").
    """
    if not cell.startswith(FORMULA_STARTS) or NUMBER.fullmatch(cell) or PHONE_NUMBER.fullmatch(cell):
        return cell
    return f"'{cell}"
