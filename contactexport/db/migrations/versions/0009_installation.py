"""Which storage folder and which secret key belong to this database."""

from contactexport.db.migration_steps import run_template

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    run_template(__file__)
