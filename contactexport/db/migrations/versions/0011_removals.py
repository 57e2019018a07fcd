"""The log knows contacts that were deleted, or left their origin."""

from contactexport.db.migration_steps import run_template

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    run_template(__file__)
