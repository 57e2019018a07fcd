"""Feeds: standing exports with a cursor and a sequence."""

from contactexport.db.migration_steps import run_template

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    run_template(__file__)
