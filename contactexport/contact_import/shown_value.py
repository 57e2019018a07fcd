"""How an error shows a value."""

MAX_CHARACTERS = 40


def shown(value: str) -> str:
    """The value in quotes, on one line, shortened to 40 characters."""
    return repr(value if len(value) <= MAX_CHARACTERS else value[: MAX_CHARACTERS - 1] + "…")
