"""Whose token it was when this process last asked: a hint that saves asking first, never a proof."""

MOST_TOKENS = 10_000


class KnownTokens:
    """Names by the SHA-256 of tokens, shared by the threads of a process."""

    def __init__(self) -> None:
        self._names: dict[bytes, str] = {}

    def name_behind(self, token_hash: bytes) -> str | None:
        """The user whose token it was."""
        return self._names.get(token_hash)

    def note(self, token_hash: bytes, name: str) -> None:
        """The database has just said so."""
        if len(self._names) >= MOST_TOKENS:
            self._names.clear()
        self._names[token_hash] = name

    def forget(self, token_hash: bytes) -> None:
        """It is not so any more."""
        self._names.pop(token_hash, None)
