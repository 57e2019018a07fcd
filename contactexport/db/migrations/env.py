"""Run by Alembic: migrates the connection that contactexport.db.migrate passes in."""

from alembic import context

context.configure(connection=context.config.attributes["connection"], transaction_per_migration=False)
with context.begin_transaction():
    context.run_migrations()
