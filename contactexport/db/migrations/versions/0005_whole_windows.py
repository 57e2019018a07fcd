"""Windows that are exported whole, and from when on the log of changes is complete."""

from contactexport.db.migration_steps import run_statements

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    run_statements(__file__)
