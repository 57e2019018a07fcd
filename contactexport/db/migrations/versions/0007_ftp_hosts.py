"""What was learned about FTP hosts is remembered."""

from contactexport.db.migration_steps import run_template

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    run_template(__file__)
