"""The errors of feeds."""

from contactexport.errors import ExportFailed, InvalidRequest


class UnknownFeed(InvalidRequest):
    """No feed of the team has this name."""

    exit_code = 1

    def __init__(self, name: str) -> None:
        super().__init__(f"Invalid value for name: {name}: no such feed")


class FeedPaused(InvalidRequest):
    """A paused feed does not run. The text says why it is paused."""

    exit_code = 1

    def __init__(self, name: str, reason: str | None) -> None:
        super().__init__(f"The feed {name} is paused: {reason}")
        self.name = name

    @property
    def hint(self) -> str:
        """How it goes on."""
        return f"See `flask feeds resume {self.name}`"


class FeedMustPause(ExportFailed):
    """The file would be short, or have other columns than the one before. The feed must pause until somebody decides.

    `kind` is the one of the pause.
    """

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind
