"""Figures that operators watch: totals of what has ended, workers, the last sweep. The ids of requests."""

from contactexport.db.migration_steps import run_template

revision = "0018"
down_revision = "0014"


def upgrade() -> None:
    run_template(__file__)
