"""Who is signed in: sessions and one-time links, in Postgres, so that every server process knows them.

Only the SHA-256 of a session's id and of a link is stored. Both are 256 random bits.
"""

import ipaddress
import secrets

from contactexport import audit
from contactexport.context import Context
from contactexport.db.connection import Connection
from contactexport.db.queries import queries
from contactexport.errors import TooManyRequests, Unauthorized
from contactexport.users import manage
from contactexport.users.authenticate import token_hash
from contactexport.users.models import Caller
from contactexport.users.store import caller_of

IDLE_SECONDS = 12 * 3600
LONGEST_SECONDS = 7 * 24 * 3600
# Sign-ins a minute: of a name from one address, and from that address. They protect the service from load: nobody
# guesses 256 random bits. Of a name alone there is no limit: with one, a stranger who knows the name could use it up.
LIMIT_OF_NAME, LIMIT_OF_ADDRESS = 10, 30
LONGEST_AGENT = 200
# Secrets are longer.
LONGEST_TOLD = 40


def sign_in(context: Context, name: str, token: str, address: str | None, user_agent: str) -> str:
    """Opens a session and returns its id. `token` is the user's bearer token.

    An unknown name costs the same work as a known one. Raises TooManyRequests, and Unauthorized for a wrong name or
    token.
    """
    _count(context, name, address)
    hashed = token_hash(token)
    with context.database.transaction() as conn:
        found = queries("console_session").find_sign_in(conn, token_hash=hashed)
        known = found is not None and secrets.compare_digest(found["name"].encode(), name.encode())
        opened = _open(conn, found["id"], hashed, address, user_agent) if known else None
    if opened is None:
        audit.note("sign-in refused", user=_told(name), address=address)
        raise Unauthorized("unknown name or token")
    audit.note("signed in", user=name, address=address)
    return opened


def sign_in_once(context: Context, link: str, address: str | None, user_agent: str) -> str:
    """Opens a session by a one-time link, which is used up then, and returns its id.

    Raises TooManyRequests, and Unauthorized for a link that is unknown, used or expired.
    """
    _count(context, None, address)
    with context.database.transaction() as conn:
        user_id = queries("console_session").use_link(conn, token_hash=token_hash(link))
        opened = None if user_id is None else _open(conn, user_id, None, address, user_agent)
        user = None if opened is None else find(conn, opened)
    if opened is None or user is None:
        audit.note("sign-in refused", address=address, by="link")
        raise Unauthorized("unknown, used or expired link")
    audit.note("signed in", user=user[0].name, address=address, by="link")
    return opened


def new_one_time_link(conn: Connection, user_id: int, seconds: float) -> str:
    """A token for /console/sign-in/once/<token>, which signs this user in once within so many seconds."""
    link = secrets.token_urlsafe(32)
    queries("console_session").add_link(conn, token_hash=token_hash(link), user_id=user_id, seconds=seconds)
    return link


def find(conn: Connection, session_id: str) -> tuple[Caller, int] | None:
    """The user of a session, and the version of the catalogue. None: the session has ended."""
    hashed = token_hash(session_id)
    row = queries("console_session").find_session(conn, id_hash=hashed, idle_seconds=IDLE_SECONDS)
    if row is None:
        return None
    if row["seen_long_ago"]:
        queries("console_session").note_seen(conn, id_hash=hashed)
    return caller_of(row), row["catalogue_version"]


def sign_out(conn: Connection, session_id: str) -> None:
    """Ends one session."""
    queries("console_session").delete_session(conn, id_hash=token_hash(session_id))


def sign_out_everywhere(conn: Connection, name: str) -> int:
    """Ends all sessions of a user. Returns how many there were."""
    return int(queries("console_session").delete_sessions(conn, name=name))


def _open(
    conn: Connection, user_id: int, hashed_token: bytes | None, address: str | None, user_agent: str
) -> str | None:
    session_id = secrets.token_urlsafe(32)
    added = queries("console_session").add_session(
        conn,
        id_hash=token_hash(session_id),
        user_id=user_id,
        token_hash=hashed_token,
        seconds=LONGEST_SECONDS,
        address=address,
        user_agent=user_agent[:LONGEST_AGENT],
    )
    return session_id if added else None


def _count(context: Context, name: str | None, address: str | None) -> None:
    """Counts a sign-in of this minute, in the table of requests. Raises TooManyRequests.

    No user has a name with quotes. A name that somebody types may be long, so its hash is counted.
    """
    counted = []
    place = "" if address is None else f" from {_network(address)}"
    if place:
        counted.append((f'"sign-in"{place}', LIMIT_OF_ADDRESS))
    if name is not None:
        counted.append((f'"sign-in" of {token_hash(name).hex()}{place}', LIMIT_OF_NAME))
    with context.database.autocommit() as conn:
        for counted_name, limit in counted:
            row = queries("limit").count_requests(conn, user_name=counted_name, wanted=1, limit=limit)
            if row["requests"] > limit:
                audit.note("sign-in refused", user=_told(name or ""), address=address, by="limit")
                raise TooManyRequests("Too many sign-ins in a minute", max(int(row["seconds_left"]), 1))


def _told(name: str) -> str | None:
    """A typed name for the log. None if it may be a secret in the wrong field."""
    return name if 0 < len(name) <= LONGEST_TOLD and not name.startswith(manage.TOKEN_PREFIX) else None


def _network(address: str) -> str:
    """One IPv6 client has 2**64 addresses. An IPv4 client may look like one of IPv6."""
    parsed = ipaddress.ip_address(address)
    if parsed.version == 6 and parsed.ipv4_mapped:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, 64), strict=False)) if parsed.version == 6 else address
