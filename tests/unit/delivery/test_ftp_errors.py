"""A reply of an FTP host as it may be shown and kept."""

import pytest

from contactexport.delivery.ftp_errors import LONGEST_REPLY, one_line


@pytest.mark.parametrize(
    "reply,shown",
    [
        ("550 no\0 such\x1b[2J file", "550 no? such?[2J file"),
        ("550 \x07\x7f\x9b\u202e.", "550 ????."),
        ("211-Features\r\n UTF8\n211\tEnd", "211-Features UTF8 211 End"),
        ("250 Büro ŷ", "250 Büro ŷ"),
        ("250 " + "x" * 500, "250 " + "x" * (LONGEST_REPLY - 4)),
    ],
)
def test_a_reply_is_one_line_of_printable_signs(reply: str, shown: str):
    assert one_line(reply, "secret") == shown


@pytest.mark.parametrize("password", ["secret", "two  spaces", " tab\tand end ", "es\x1bcape"])
def test_the_password_is_masked_whatever_signs_it_has(password: str):
    assert one_line(f"500 'PASS {password}' unknown", password) == "500 'PASS ***' unknown"


def test_without_a_password_nothing_is_masked():
    assert one_line("230 Logged in.", "") == "230 Logged in."
