"""A value as it is shown in an error."""

MOST_CHARACTERS = 40


def shown(value: str) -> str:
    """The value quoted on one line, shortened to 40 characters."""
    return repr(value if len(value) <= MOST_CHARACTERS else value[: MOST_CHARACTERS - 1] + "…")
