"""The CSV dialect of every export, and its header.

UTF-8, `\\n` line ends, RFC 4180 quoting as csv.writer's QUOTE_MINIMAL does it; NULL and '' are both empty. The rows of
an export are written by Postgres' COPY in this very dialect (see docs/decisions/csv.md).
"""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from typing import BinaryIO, TextIO

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


# The spreadsheet profile: what Excel and others need to read the file, and what keeps them from running it. A program
# may split at other characters than the file does: each part of a cell may become a cell (docs/decisions/csv.md).
BYTE_ORDER_MARK = "\ufeff"
SEPARATORS = ",;\t|"
ENDS_PART = re.compile(r"([,;\t|:\r\n])")
SIGNS = "=+-@\uff1d\uff0b\uff0d\uff20\ufe66\ufe62\ufe63\ufe6b"
# What programs skip in front of a sign: the quote, which a second reading of a line drops, and what is not seen.
HIDDEN = r"\"\x00-\x08\x0e-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff"
MAY_BE_FORMULA = re.compile(rf"^[\t\r\n]|(?<![^,;|:\s{HIDDEN}])[{re.escape(SIGNS)}]")
BEGINNING = re.compile(rf"[\s{HIDDEN}]*")
NUMBER = r"[+-]?\d+([.,]\d+)*"
PLAIN_NUMBER = re.compile(rf"{NUMBER}|\+(?=(?:\D*\d){{5}})\d[\d ()/.-]*", re.ASCII)
# Behind a blank, a dash or a number stays as it is.
SIGN_AFTER_BLANK = re.compile(rf"(?<= )(?:[{HIDDEN}]|[^\S ])*(?=[{re.escape(SIGNS)}])(?!. |(?a:{NUMBER}) )")


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
    lines = _SpreadsheetLines(text)
    # csv.writer quotes a cell that holds a character of the line end: so the line end it is told has all separators.
    writer = csv.writer(lines, delimiter=delimiter, lineterminator=lines.written_end, quoting=csv.QUOTE_MINIMAL)
    if header_values is not None:
        writer.writerow([harmless(value) for value in header_values])
    written = 0
    for row in rows:
        writer.writerow([harmless(value) if isinstance(value, str) else value for value in row])
        written += 1
    text.detach()
    return written


class _SpreadsheetLines:
    """Takes the lines of csv.writer and ends them by CRLF."""

    written_end = f"{SEPARATORS}\r\n"

    def __init__(self, text: TextIO) -> None:
        self._text = text

    def write(self, line: str) -> None:
        self._text.write(line.removesuffix(self.written_end) + "\r\n")


def harmless(cell: str) -> str:
    """The cell with a `'` in front of each sign that could begin a formula, however a spreadsheet splits the cell.

    One whose first sign comes behind blanks, and one that begins with a tab or a line end, begins with a `'` as well.
    Numbers and plain phone numbers stay as they are (OWASP, "CSV Injection").
    """
    if cell.isalnum() or not MAY_BE_FORMULA.search(cell) or PLAIN_NUMBER.fullmatch(cell.strip()):
        return cell
    shown = "".join(map(_harmless_part, ENDS_PART.split(cell)))
    up_to_sign = len(BEGINNING.match(cell)[0]) + 1  # type: ignore[index] # it always matches
    is_marked_later = up_to_sign > 1 and shown[:up_to_sign] != cell[:up_to_sign]
    return f"'{shown}" if is_marked_later or cell[0] in "\t\r\n" else shown


def _harmless_part(part: str) -> str:
    body = BEGINNING.sub("", part, count=1)
    blanks = part[: len(part) - len(body)]
    mark = "'" if body and body[0] in SIGNS else ""
    return blanks + mark + SIGN_AFTER_BLANK.sub(r"\g<0>'", body)
