"""Alembic's way in. The connection is handed over by `controller.store.database`, already inside a transaction."""

from alembic import context

from controller.store.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, transactional_ddl=True)
context.run_migrations()
