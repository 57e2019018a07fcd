"""Names of finished files in the storage."""

from contactexport.db.migration_steps import run_template

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    run_template(__file__)
