"""Indexes for years of exports."""

from contactexport.db.migration_steps import run_template

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    run_template(__file__)
