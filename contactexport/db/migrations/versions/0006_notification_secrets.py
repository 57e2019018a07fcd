"""Notification URLs with credentials are stored encrypted; those that nobody needs any more are hidden."""

from contactexport.db.migration_steps import run_template

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    run_template(__file__)
