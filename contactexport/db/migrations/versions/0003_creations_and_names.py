"""The log tells creations from changes, and functions depend on no search path and on no column's name."""

from contactexport.db.migration_steps import run_template

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    run_template(__file__, read_sequence="contact_change_read")
