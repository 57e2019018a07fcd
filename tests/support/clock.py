"""Lets time pass for exports without waiting, by moving the due times in the database."""

from contactexport.context import Context
from tests.support.exporting import execute

TIMES = ("created_at", "published_at", "started_at", "ready_at", "finished_at", "due_at")


def let_pass(context: Context, seconds: float) -> None:
    """Makes all exports older by so many seconds."""
    moved = ", ".join(f"{name} = {name} - make_interval(secs => %(seconds)s)" for name in TIMES)
    execute(context, f"UPDATE export SET {moved}", {"seconds": seconds})
