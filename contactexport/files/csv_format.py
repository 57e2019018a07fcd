"""The CSV dialect of every export, and its header line.

UTF-8, `\\n` line ends, and RFC 4180 quoting like csv.writer with QUOTE_MINIMAL. NULL and '' are both empty.
Postgres' COPY writes the rows of an export in the same dialect (see docs/decisions/csv.md).
"""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from typing import BinaryIO, TextIO

from contactexport.catalogue import ContactField

Columns = list[tuple[int | None, str]]
FIRST_COLUMN = "user_id"
LAST_COLUMN = "last update"


def columns(fields: Sequence[ContactField], language: str, last_columns: Sequence[str] = ()) -> Columns:
    """Id and name of each column: user_id, the fields in the language, last update, and those that the settings add.

    The id is None where the column is no field.
    """
    named = [(field.id, field.name_in(language)) for field in fields]
    return [(None, FIRST_COLUMN), *named, (None, LAST_COLUMN), *((None, name) for name in last_columns)]


def line(values: Iterable[str | int | None], delimiter: str) -> bytes:
    """One line as csv.writer writes it, in UTF-8 and with `\\n` at its end.

    It is written with CRLF, which is then replaced. Before Python 3.11.9, 3.12.3 and 3.13, csv.writer quotes a lone CR
    or LF only if the line end has it, and most readers would end the line at an unquoted one (RFC 4180, 2.6).

    >>> line([1, "a;b", None], ";")
    b'1;"a;b";\\n'
    """
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, lineterminator="\r\n", quoting=csv.QUOTE_MINIMAL).writerow(values)
    return (text.getvalue()[:-2] + "\n").encode()


# The spreadsheet profile: Excel and other programs read the file correctly and run no formula in it. A program may
# split at other characters than the delimiter, so each part of a cell may become a cell (docs/decisions/csv.md).
BYTE_ORDER_MARK = "\ufeff"
SEPARATORS = ",;\t|"
ENDS_PART = re.compile(r"([,;\t|:\r\n])")
SIGNS = "=+-@\uff1d\uff0b\uff0d\uff20\ufe66\ufe62\ufe63\ufe6b"
# What programs skip before a sign: the quote, which is lost when a line is parsed twice, and invisible characters.
HIDDEN = r"\"\x00-\x08\x0e-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff"
MAY_BE_FORMULA = re.compile(rf"^[\t\r\n]|(?<![^,;|:\s{HIDDEN}])[{re.escape(SIGNS)}]")
BEGINNING = re.compile(rf"[\s{HIDDEN}]*")
NUMBER = r"[+-]?\d+([.,]\d+)*"
PLAIN_NUMBER = re.compile(rf"{NUMBER}|\+(?=(?:\D*\d){{5}})\d[\d ()/.-]*", re.ASCII)
# After a blank, a dash or a number is left unchanged.
SIGN_AFTER_BLANK = re.compile(rf"(?<= )(?:[{HIDDEN}]|[^\S ])*(?=[{re.escape(SIGNS)}])(?!. |(?a:{NUMBER}) )")


def write_spreadsheet(
    header_values: Iterable[str] | None,
    rows: Iterable[Sequence[str | int | None]],
    delimiter: str,
    to: BinaryIO,
) -> int:
    """Writes a BOM, the header if any, and the rows, with CRLF line ends and `harmless` cells.

    Returns the number of rows. Memory stays flat when `rows` is a generator.
    """
    text = io.TextIOWrapper(to, encoding="utf-8", newline="")
    text.write(BYTE_ORDER_MARK)
    lines = _SpreadsheetLines(text)
    # csv.writer quotes a cell with a character of the line end, so the line end it is given has all separators.
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
    """Writes the lines of csv.writer with CRLF at their end."""

    written_end = f"{SEPARATORS}\r\n"

    def __init__(self, text: TextIO) -> None:
        self._text = text

    def write(self, line: str) -> None:
        self._text.write(line.removesuffix(self.written_end) + "\r\n")


def harmless(cell: str) -> str:
    """The cell with a `'` before each sign that could start a formula, however a spreadsheet splits the cell.

    A cell also starts with a `'` if blanks come before its first sign, or if it starts with a tab or a line end.
    Numbers and plain phone numbers stay unchanged (OWASP, "CSV Injection").

    >>> harmless("=1+1"), harmless("x;=1+1"), harmless("+43 1 234 567")
    ("'=1+1", "x;'=1+1", '+43 1 234 567')
    """
    if cell.isalnum() or not MAY_BE_FORMULA.search(cell) or PLAIN_NUMBER.fullmatch(cell.strip(" ")):
        return cell
    escaped = ""
    for part in ENDS_PART.split(cell):
        body = BEGINNING.sub("", part, count=1)
        blanks = part[: len(part) - len(body)]
        apostrophe = "'" if body and body[0] in SIGNS else ""
        escaped += blanks + apostrophe + SIGN_AFTER_BLANK.sub(r"\g<0>'", body)
    up_to_sign = len(BEGINNING.match(cell)[0]) + 1  # type: ignore[index] # it always matches
    is_escaped_after_blanks = up_to_sign > 1 and escaped[:up_to_sign] != cell[:up_to_sign]
    return f"'{escaped}" if is_escaped_after_blanks or cell[0] in "\t\r\n" else escaped
