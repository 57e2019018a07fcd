"""Run by Alembic: migrates the connection that contactexport.db.migrate passes in, and notes what each version ran."""

from typing import Any

from alembic import context

from contactexport.db import version_record

connection = context.config.attributes["connection"]


def note_checksum(ctx: Any, step: Any, heads: Any, run_args: Any) -> None:  # noqa: ARG001 - named by Alembic
    version_record.note_checksum(connection.connection.driver_connection, step.up_revision_id)


context.configure(
    connection=connection,
    transaction_per_migration=False,
    version_table=version_record.VERSION_TABLE,
    on_version_apply=note_checksum,
)
with context.begin_transaction():
    context.run_migrations()
