"""contactexport.delivery.ftp_wire: replies of FTP hosts are parsed and shown."""

import pytest

from contactexport.delivery.ftp_wire import LONGEST_SHOWN, HostFault, epsv_port, one_line, pasv_address


@pytest.mark.parametrize(
    "reply,address",
    [
        ("227 Entering Passive Mode (192,0,2,7,200,10).", ("192.0.2.7", 51210)),
        ("227 =192,0,2,7,0,21", ("192.0.2.7", 21)),
        ("227-x\n227 at 192, 0, 2, 7, 1, 0", ("192.0.2.7", 256)),
    ],
)
def test_reply_to_pasv_is_parsed(reply: str, address: tuple[str, int]):
    assert pasv_address(reply) == address


@pytest.mark.parametrize(
    "reply",
    [
        "227 (999,999,999,999,999,999)",
        "227 (127,0,0,1,256,1)",
        "227 (127,0,0,1,0,0)",
        "227 (127,0,0,1,1)",
        "227 (-1,-1,-1,-1,-1,-1)",
        "227 ()",
        "227",
        "200 (127,0,0,1,1,1)",
        "227 " + "9" * 60_000,
        "227 (" + ",".join(["9" * 10_000] * 6) + ")",
    ],
)
def test_malformed_reply_to_pasv_raises_host_fault(reply: str):
    with pytest.raises(HostFault, match=r"^its answer to PASV cannot be understood: "):
        pasv_address(reply)


@pytest.mark.parametrize(
    "reply,port", [("229 Extended (|||6446|)", 6446), ("229 (!!!1!)", 1), ("229 (|1|192.0.2.7|65535|)", 65535)]
)
def test_reply_to_epsv_is_parsed(reply: str, port: int):
    assert epsv_port(reply) == port


@pytest.mark.parametrize(
    "reply",
    [
        "229 (|||99999|)",
        "229 (|||0|)",
        "229 (|||-1|)",
        "229 (|||x|)",
        "229 (||||)",
        "229 ()",
        "229",
        "229 (|||6446",
        "200 (|||6446|)",
        "229 (" + "|" * 60_000,
    ],
)
def test_malformed_reply_to_epsv_raises_host_fault(reply: str):
    with pytest.raises(HostFault, match=r"^its answer to EPSV cannot be understood: "):
        epsv_port(reply)


def test_shown_reply_is_one_short_line_without_password():
    shown = one_line("550-no\n\x1b[2J geheim " + "x" * 1000, "geheim")
    assert shown.startswith("550-no ?[2J *** xxx")
    assert len(shown) == 200


@pytest.mark.parametrize(
    "reply,shown",
    [
        ("550 no\0 such\x1b[2J file", "550 no? such?[2J file"),
        ("550 \x07\x7f\x9b\u202e.", "550 ????."),
        ("211-Features\r\n UTF8\n211\tEnd", "211-Features UTF8 211 End"),
        ("250 Büro ŷ", "250 Büro ŷ"),
        ("250 " + "x" * 500, "250 " + "x" * (LONGEST_SHOWN - 4)),
    ],
)
def test_reply_becomes_one_line_of_printable_characters(reply: str, shown: str):
    assert one_line(reply, "secret") == shown


@pytest.mark.parametrize("password", ["secret", "two  spaces", " tab\tand end ", "es\x1bcape"])
def test_any_password_is_masked(password: str):
    assert one_line(f"500 'PASS {password}' unknown", password) == "500 'PASS ***' unknown"


def test_empty_password_masks_nothing():
    assert one_line("230 Logged in.", "") == "230 Logged in."
