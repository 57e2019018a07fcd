"""The console: viewers, sessions, one-time links, and what the history of an export shows."""

from contactexport.db.migration_steps import run_template

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    run_template(__file__)
