"""What a host got, if it is not the file itself."""

from contactexport.db.migration_steps import run_template

revision = "0016"
down_revision = "0014"


def upgrade() -> None:
    run_template(__file__)
