"""Lets time pass for the exports, whose due times stand in the database: nobody has to wait for it."""

from exporting import execute

from contactexport.backend import Backend

TIMES = ("created_at", "published_at", "started_at", "ready_at", "finished_at", "due_at")


def let_pass(backend: Backend, seconds: float) -> None:
    """From now on all exports are older by so many seconds."""
    moved = ", ".join(f"{name} = {name} - make_interval(secs => %(seconds)s)" for name in TIMES)
    execute(backend, f"UPDATE export SET {moved}", {"seconds": seconds})
