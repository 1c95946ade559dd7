"""Give the ledger an id, and the version of sailplane that last changed its tables."""

from __future__ import annotations

import time
import uuid

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    table = op.create_table(
        "identity",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("created", sa.Float, nullable=False),
        sa.Column("written_by", sa.String(64), nullable=False),
    )
    op.bulk_insert(table, [{"id": uuid.uuid4().hex, "created": time.time(), "written_by": ""}])
