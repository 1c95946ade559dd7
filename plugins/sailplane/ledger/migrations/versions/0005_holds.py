"""Record former champions in order, versions that were rolled back, and holds on automatic deployments.

For earlier releases the order comes from successful rollouts and the aliases.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

NAME = sa.String(64)


def upgrade() -> None:
    served = op.create_table(
        "served",
        sa.Column("name", NAME, primary_key=True),
        sa.Column("version", NAME, primary_key=True),
        sa.Column("number", sa.Integer, nullable=False),
    )
    op.create_table(
        "rolled_back",
        sa.Column("name", NAME, primary_key=True),
        sa.Column("version", NAME, primary_key=True),
        sa.Column("since", sa.Float, nullable=False),
        sa.Column("by", sa.Text, nullable=False),
    )
    op.create_table(
        "holds",
        sa.Column("name", NAME, primary_key=True),
        sa.Column("since", sa.Float, nullable=False),
        sa.Column("by", sa.Text, nullable=False),
        sa.Column("version", NAME, nullable=False),
        sa.Column("serves", NAME),
    )
    rows = [
        {"name": name, "version": version, "number": number}
        for name, versions in _in_order().items()
        for number, version in enumerate(versions, start=1)
    ]
    op.bulk_insert(served, rows)


def _in_order() -> dict[str, list[str]]:
    """The versions that served, newest last, by model."""
    decisions = sa.table("rollout_decisions", *map(sa.column, ("id", "name", "version", "after")))
    aliases = sa.table("aliases", *map(sa.column, ("name", "version", "alias")))
    succeeded = sa.select(decisions).where(decisions.c.after == "succeeded").order_by(decisions.c.id)
    # "previous" sorts after "champion".
    named = sa.select(aliases).where(aliases.c.alias.in_(("previous", "champion"))).order_by(aliases.c.alias.desc())
    found: dict[str, list[str]] = {}
    for query in (succeeded, named):
        for row in op.get_bind().execute(query):
            versions = found.setdefault(row.name, [])
            found[row.name] = [*(version for version in versions if version != row.version), row.version]
    return found
