"""Which storage folder and which secret key belong to this database."""

from contactexport.db.migration_steps import run_template

revision = "0010"
down_revision = "0007"


def upgrade() -> None:
    run_template(__file__)
