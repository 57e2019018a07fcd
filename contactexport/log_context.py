"""What causes a line of the log: the id of a request, and the address of its client.

Both belong to the thread. A new thread begins without them (`copied` hands them on).
"""

import contextvars
import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import ParamSpec, TypeVar

HEADER = "X-Request-ID"
# What proxies send: hexadecimal digits, UUIDs, Root=1-67891233-abcdef012345678912345678. Nothing that breaks a line.
WELL_FORMED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:=+/@-]{0,127}", re.ASCII)

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

_request_id: ContextVar[str | None] = ContextVar("request id", default=None)
_address: ContextVar[str | None] = ContextVar("client address", default=None)


def new_id() -> str:
    """A new id: 32 hexadecimal digits."""
    return secrets.token_hex(16)


def begin(sent: str | None = None) -> str:
    """Begins a request in this thread. Returns its id: the one that was sent if it is well-formed, else a new one."""
    request_id = sent if sent and WELL_FORMED.fullmatch(sent) else new_id()
    _request_id.set(request_id)
    _address.set(None)
    return request_id


def note_address(address: str | None) -> None:
    """Notes where the request comes from."""
    _address.set(address)


def request_id() -> str | None:
    """The id of what this thread works on. None: there is none."""
    return _request_id.get()


def address() -> str | None:
    """The address of the client whose request this thread answers. None: there is none, or it is not known."""
    return _address.get()


@contextmanager
def about(request_id: str | None) -> Iterator[None]:
    """While the block runs, lines have this id. None: they keep the one that they have."""
    if request_id is None:
        yield
        return
    before = _request_id.set(request_id)
    try:
        yield
    finally:
        _request_id.reset(before)


def copied(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """The same function for another thread, whose lines then have the id and the address of this one."""
    return partial(contextvars.copy_context().run, function)
