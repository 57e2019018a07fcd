"""What a user must know of a finished export."""

from contactexport.db.migration_steps import run_template

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    run_template(__file__)
