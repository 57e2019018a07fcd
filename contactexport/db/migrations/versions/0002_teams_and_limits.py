"""Users get a team, limits of their own and the switch for clients of the original."""

from contactexport.db.migration_steps import run_template

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    run_template(__file__, id_sequence="export_id_seq")
