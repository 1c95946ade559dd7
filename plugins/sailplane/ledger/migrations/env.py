"""Run by Alembic, in the transaction of `sailplane.ledger.schema.upgrade`."""

from __future__ import annotations

from alembic import context

from sailplane.ledger.schema import VERSION_TABLE
from sailplane.ledger.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    # SQLite can change a column only by copying the table.
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
