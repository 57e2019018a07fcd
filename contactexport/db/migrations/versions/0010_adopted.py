"""Which table was adopted as contacts, and which tables are watched for it."""

from contactexport.db.migration_steps import run_template

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    run_template(__file__)
