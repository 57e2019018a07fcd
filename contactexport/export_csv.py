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
NUMBER = re.compile(r"[+-]?\d+([.,]\d+)*", re.ASCII)
# A sign behind a blank would begin a cell of its own in a program that splits at blanks: "+43 1 -2" is none.
PHONE_NUMBER = re.compile(r"\+(?=(?:\D*\d){5})\d(?:[\d ()/.]|(?<! )-|(?<= )-(?= ))*", re.ASCII)

# What begins a formula: = + - @, and the forms of them that Unicode takes for the same (NFKC).
SIGNS = "=+\\-@\uff1d\uff0b\uff0d\uff20\ufe66\ufe62\ufe63\ufe6b\u207c\u207a\u208c\u208a\ufb29"
LINE_BREAKS = "\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029"
# Besides these, programs offer the blank and "other", mostly used for | and :.
SEPARATORS = f",;\t|:{LINE_BREAKS}"
# What some programs drop at the start of a cell: blanks, control and format characters, and quotes.
INVISIBLE = (
    "\\s\x00-\x20\x7f-\xa0\xad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160\u1680\u17b4\u17b5"
    "\u180b-\u180f\u2000-\u200f\u2028-\u202f\u205f-\u206f\u2800\u3000\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb"
    "\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
SEPARATOR = re.compile(f"[{SEPARATORS}]")
TO_BE_QUOTED = re.compile(f'[" {SEPARATORS}]')
SIGN = re.compile(f"[{SIGNS}]")
GAP = f'"{SEPARATORS}{INVISIBLE}'
# All that stands between a sign and the last visible character before it; each character is looked at once.
BEFORE_SIGN = re.compile(f"(?:\\A[{GAP}]*+|(?<![{GAP}])[{GAP}]++)(?=[{SIGNS}](?P<blank> )?)")


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
    if header_values is not None:
        text.write(_spreadsheet_line(header_values, delimiter))
    written = 0
    for row in rows:
        text.write(_spreadsheet_line(row, delimiter))
        written += 1
    text.detach()
    return written


def harmless(cell: str) -> str:
    """The cell with a `'` before every sign that a spreadsheet would take for the start of a formula.

    That is the first one of the cell, and each behind a separator: a program that splits at another separator than the
    file's finds cells in it that begin there, quoted or not. Numbers and plain phone numbers stay as they are (OWASP,
    "CSV Injection").
    """
    if not SIGN.search(cell):
        return cell
    plain = cell.strip(" ")
    if NUMBER.fullmatch(plain) or PHONE_NUMBER.fullmatch(plain):
        return cell
    return BEFORE_SIGN.sub(lambda gap: f"{gap[0]}'" if _begins_formula(gap) else gap[0], cell)


def _begins_formula(gap: re.Match[str]) -> bool:
    """A sign between two blanks, as in "A + B", does not: split at blanks, it would stand alone."""
    if gap.start() == 0 or SEPARATOR.search(gap[0]):
        return True
    return " " in gap[0] and gap["blank"] is None


def _spreadsheet_line(values: Iterable[str | int | None], delimiter: str) -> str:
    """Cells that hold any separator are quoted, so that a program that splits at several leaves them whole."""
    return delimiter.join(_spreadsheet_cell(value) for value in values) + "\r\n"


def _spreadsheet_cell(value: str | int | None) -> str:
    if not isinstance(value, str):
        return "" if value is None else str(value)
    cell = harmless(value)
    if TO_BE_QUOTED.search(cell):
        cell = '"' + cell.replace('"', '""') + '"'
    return cell
