"""Runs the steps on the connection and in the transaction of ``exporter.ledger.schema``."""

from alembic import context

from exporter.ledger.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
