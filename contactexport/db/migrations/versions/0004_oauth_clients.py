"""Users may be OAuth 2.0 clients, which get access tokens."""

from contactexport.db.migration_steps import run_statements

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    run_statements(__file__)
