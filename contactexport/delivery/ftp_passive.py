"""Where an FTP host wants data to be sent: its replies to PASV (RFC 959) and EPSV (RFC 2428)."""

import re

from contactexport.delivery.ftp_errors import HostFault

HIGHEST_PORT = 65_535
LOOKED_AT = 500  # signs of a reply; the search takes the square of it

_PASV = re.compile(r"227\D.*?(\d+)\s*,\s*(\d+)\s*,\s*(\d+)\s*,\s*(\d+)\s*,\s*(\d+)\s*,\s*(\d+)", re.ASCII | re.DOTALL)
_EPSV = re.compile(r"229\D.*?\(([!-~])[^()]*?\1[^()]*?\1(\d{1,5})\1\)", re.ASCII | re.DOTALL)


def pasv_address(reply: str) -> tuple[str, int]:
    """The address and port in a reply to PASV. Raises HostFault."""
    found = _PASV.match(reply[:LOOKED_AT])
    numbers = [int(number[:4]) for number in found.groups()] if found else []
    if not numbers or max(numbers) > 255 or numbers[4:] == [0, 0]:
        raise HostFault(f"its answer to PASV cannot be understood: {reply}")
    return ".".join(map(str, numbers[:4])), numbers[4] * 256 + numbers[5]


def epsv_port(reply: str) -> int:
    """The port in a reply to EPSV. Raises HostFault."""
    found = _EPSV.match(reply[:LOOKED_AT])
    if not found or not 1 <= int(found[2]) <= HIGHEST_PORT:
        raise HostFault(f"its answer to EPSV cannot be understood: {reply}")
    return int(found[2])
