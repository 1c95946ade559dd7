"""Create the tables of 23 November 2026.

A ledger of that day already has them: then only missing parts are created, such as a dropped index.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "sweeps",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("config", sa.JSON, nullable=False),
        sa.Column("seed", sa.Integer, nullable=False),
        sa.Column("created", sa.Float, nullable=False),
        if_not_exists=True,
    )
    op.create_table(
        "trials",
        sa.Column("sweep", sa.String(64), sa.ForeignKey("sweeps.id"), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("config", sa.JSON, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("score", sa.Float),
        sa.Column("run", sa.JSON),
        sa.Column("error", sa.Text),
        sa.Column("worker", sa.String(128), nullable=False),
        sa.Column("lease_until", sa.Float, nullable=False),
        if_not_exists=True,
    )
    op.create_index("trials_by_lease", "trials", ["sweep", "state", "lease_until"], if_not_exists=True)
    op.create_table(
        "reports",
        sa.Column("sweep", sa.String(64), sa.ForeignKey("sweeps.id"), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("step", sa.Integer, primary_key=True),
        sa.Column("value", sa.Float, nullable=False),
        if_not_exists=True,
    )
    op.create_table(
        "stops",
        sa.Column("sweep", sa.String(64), sa.ForeignKey("sweeps.id"), primary_key=True),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("time", sa.Float, nullable=False),
        if_not_exists=True,
    )
    op.create_table(
        "wandb_sweeps",
        sa.Column("sweep", sa.String(64), sa.ForeignKey("sweeps.id"), primary_key=True),
        sa.Column("path", sa.String(255), nullable=False),
        sa.Column("ended", sa.Boolean, nullable=False),
        if_not_exists=True,
    )
    op.create_table(
        "sweep_jobs",
        sa.Column("sweep", sa.String(64), sa.ForeignKey("sweeps.id"), primary_key=True),
        sa.Column("spec", sa.JSON, nullable=False),
        if_not_exists=True,
    )
    op.create_table(
        "shares",
        sa.Column("sweep", sa.String(64), sa.ForeignKey("sweeps.id"), primary_key=True),
        sa.Column("id", sa.String(16), nullable=False, unique=True),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("created", sa.Float, nullable=False),
        if_not_exists=True,
    )
    op.create_table(
        "models",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("version", sa.String(64), primary_key=True),
        sa.Column("record", sa.JSON, nullable=False),
        sa.Column("created", sa.Float, nullable=False),
        if_not_exists=True,
    )
    op.create_table(
        "aliases",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("alias", sa.String(32), primary_key=True),
        sa.Column("version", sa.String(64), nullable=False),
        sa.Column("changed", sa.Float, nullable=False),
        if_not_exists=True,
    )
    op.create_table(
        "deployments",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("record", sa.JSON, nullable=False),
        sa.Column("changed", sa.Float, nullable=False),
        if_not_exists=True,
    )
    op.create_table(
        "cluster_deployments",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("connection", sa.String(250), primary_key=True),
        sa.Column("namespace", sa.String(63), primary_key=True),
        sa.Column("workload", sa.JSON, nullable=False),
        sa.Column("record", sa.JSON, nullable=False),
        sa.Column("changed", sa.Float, nullable=False),
        if_not_exists=True,
    )
    op.create_table(
        "rollouts",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("version", sa.String(64), primary_key=True),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("subject", sa.JSON, nullable=False),
        sa.Column("plan", sa.JSON, nullable=False),
        sa.Column("state", sa.JSON, nullable=False),
        sa.Column("phase", sa.String(16), nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("driver", sa.String(64), nullable=False),
        sa.Column("lease_until", sa.Float, nullable=False),
        sa.Column("started", sa.Float, nullable=False),
        sa.Column("changed", sa.Float, nullable=False),
        if_not_exists=True,
    )
    op.create_table(
        "rollout_decisions",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("version", sa.String(64), nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("time", sa.Float, nullable=False),
        sa.Column("before", sa.String(32), nullable=False),
        sa.Column("after", sa.String(32), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("by", sa.Text, nullable=False),
        sa.Column("findings", sa.JSON, nullable=False),
        if_not_exists=True,
    )
    op.create_index("rollout_decisions_by_version", "rollout_decisions", ["name", "version"], if_not_exists=True)
    op.create_table(
        "evaluations",
        sa.Column("dag", sa.String(250), primary_key=True),
        sa.Column("dag_run", sa.String(250), primary_key=True),
        sa.Column("model", sa.String(64), primary_key=True),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("day", sa.Float, nullable=False),
        sa.Column("as_of", sa.Float, nullable=False),
        sa.Column("gate", sa.JSON, nullable=False),
        sa.Column("record", sa.JSON, nullable=False),
        sa.Column("created", sa.Float, nullable=False),
        if_not_exists=True,
    )
    op.create_index("evaluations_by_day", "evaluations", ["dag", "day"], if_not_exists=True)
    op.create_table(
        "api_keys",
        sa.Column("id", sa.String(16), primary_key=True),
        sa.Column("user", sa.String(64), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False, unique=True),
        sa.Column("hint", sa.String(8), nullable=False),
        sa.Column("created", sa.Float, nullable=False),
        if_not_exists=True,
    )
    op.create_table(
        "insights",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("report", sa.String(32), nullable=False),
        sa.Column("time", sa.Float, nullable=False),
        sa.Column("user", sa.String(64)),
        sa.Column("algorithm", sa.String(129)),
        sa.Column("key", sa.String(255), nullable=False),
        sa.Column("value", sa.JSON),
        if_not_exists=True,
    )
    op.create_index("ix_insights_algorithm", "insights", ["algorithm"], if_not_exists=True)
