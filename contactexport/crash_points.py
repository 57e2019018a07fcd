"""Points at which a test can end or stop this very process, to see what becomes of an export.

Inert unless the environment variable is set: CONTACTEXPORT_CRASH_POINT=<point>:<attempt>:<signal>, such as
`file named:1:SIGKILL`, or several separated by commas. The attempt is that of the export, so the next one gets past the
point.
"""

import os
import signal

VARIABLE = "CONTACTEXPORT_CRASH_POINT"


def reach(point: str, attempt: int = 0) -> None:
    """Tells that an attempt has reached a point (0: before the first). Returns, unless the variable says otherwise."""
    for wanted in os.environ.get(VARIABLE, "").split(","):
        if wanted.startswith(f"{point}:{attempt}:"):
            os.kill(os.getpid(), signal.Signals[wanted.rpartition(":")[2]])
