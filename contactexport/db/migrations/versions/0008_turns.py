"""Whose turn it is: when a user was served last."""

from contactexport.db.migration_steps import run_template

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    run_template(__file__)
