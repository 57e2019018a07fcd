"""The keys that sign manifests."""

from contactexport.db.migration_steps import run_template

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    run_template(__file__)
