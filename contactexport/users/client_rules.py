"""What a client may send: the strict rules, and what `--compatible` loosens for clients of the original, and why.

This is the only place that says so. Whoever checks a request asks the rules of its caller.
"""

import shlex
from dataclasses import dataclass


@dataclass(frozen=True)
class ClientRules:
    """The strict rules, unless told otherwise.

    repeated_nonce: the same WSSE nonce and `Created` may come again within the window. Shop modules compute one header
        and send it with every call of a page load. A header that somebody overheard can then be sent again for as long.
    created_without_offset: `Created` may lack its offset and is then in the service's time zone. Clients in PHP and C#
        write local time that way.
    equal_start_and_end: both ends of `time_range` may be equal, which exports no contact. Hourly jobs send dates
        without a time of day.
    empty_means_absent: these parameters count as not given when they are empty. Forms of shop modules send all of
        their fields.
    origin_of_registrations: getregistrations may come without `origin`, which then is `all`. The original knows no
        origin there.
    """

    repeated_nonce: bool = False
    created_without_offset: bool = False
    equal_start_and_end: bool = False
    empty_means_absent: frozenset[str] = frozenset()
    origin_of_registrations: bool = False


STRICT = ClientRules()
COMPATIBLE = ClientRules(
    repeated_nonce=True,
    created_without_offset=True,
    equal_start_and_end=True,
    empty_means_absent=frozenset({"delimiter", "language", "notification_url"}),
    origin_of_registrations=True,
)


def remedy(user_name: str) -> str:
    """What the log says to whoever looks up why a client of the original is refused."""
    return f"accepted after `flask users set {shlex.quote(user_name)} --compatible`"
