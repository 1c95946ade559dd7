"""The tables of the ledger. Times are UTC seconds since 1970, so that both databases compare them the same way."""

from __future__ import annotations

import sqlalchemy as sa

from sailplane.ledger.relative import StoreRecord

metadata = sa.MetaData()

sweeps = sa.Table(
    "sweeps",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("config", sa.JSON, nullable=False),
    sa.Column("seed", sa.Integer, nullable=False),
    sa.Column("created", sa.Float, nullable=False),
)

trials = sa.Table(
    "trials",
    metadata,
    sa.Column("sweep", sa.ForeignKey("sweeps.id"), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("config", sa.JSON, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("score", sa.Float),
    sa.Column("run", StoreRecord),
    sa.Column("error", sa.Text),
    sa.Column("worker", sa.String(128), nullable=False),
    sa.Column("lease_until", sa.Float, nullable=False),
    # To find expired leases when a worker asks for a trial.
    sa.Index("trials_by_lease", "sweep", "state", "lease_until"),
)

# The values of the sweep's metric that trials reported while running.
reports = sa.Table(
    "reports",
    metadata,
    sa.Column("sweep", sa.ForeignKey("sweeps.id"), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("step", sa.Integer, primary_key=True),
    sa.Column("value", sa.Float, nullable=False),
)

# Sweeps that were stopped before all of their trials had ended.
stops = sa.Table(
    "stops",
    metadata,
    sa.Column("sweep", sa.ForeignKey("sweeps.id"), primary_key=True),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("time", sa.Float, nullable=False),
)

# Sweeps that also exist at W&B: `path` is entity/project/id.
wandb_sweeps = sa.Table(
    "wandb_sweeps",
    metadata,
    sa.Column("sweep", sa.ForeignKey("sweeps.id"), primary_key=True),
    sa.Column("path", sa.String(255), nullable=False),
    sa.Column("ended", sa.Boolean, nullable=False),
)

# How the trials of a sweep are trained: a SweepWorkerSpec.
sweep_jobs = sa.Table(
    "sweep_jobs",
    metadata,
    sa.Column("sweep", sa.ForeignKey("sweeps.id"), primary_key=True),
    sa.Column("spec", StoreRecord, nullable=False),
)

# Sweeps that remote workers may join, by the name `id`; `digest` is the SHA-256 of the token, in hexadecimal.
shares = sa.Table(
    "shares",
    metadata,
    sa.Column("sweep", sa.ForeignKey("sweeps.id"), primary_key=True),
    sa.Column("id", sa.String(16), nullable=False, unique=True),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("created", sa.Float, nullable=False),
)

models = sa.Table(
    "models",
    metadata,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("version", sa.String(64), primary_key=True),
    sa.Column("record", StoreRecord, nullable=False),
    sa.Column("created", sa.Float, nullable=False),
)

aliases = sa.Table(
    "aliases",
    metadata,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("alias", sa.String(32), primary_key=True),
    sa.Column("version", sa.String(64), nullable=False),
    sa.Column("changed", sa.Float, nullable=False),
)

# The versions that have been champion, in the order of `number`.
served = sa.Table(
    "served",
    metadata,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("version", sa.String(64), primary_key=True),
    sa.Column("number", sa.Integer, nullable=False),
)

# The versions that a person or a check of a rollout took out of service.
rolled_back = sa.Table(
    "rolled_back",
    metadata,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("version", sa.String(64), primary_key=True),
    sa.Column("since", sa.Float, nullable=False),
    sa.Column("by", sa.Text, nullable=False),
)

# Models that no task deploys until a person allows it: `version` was rolled back, and `serves` replaced it.
holds = sa.Table(
    "holds",
    metadata,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("since", sa.Float, nullable=False),
    sa.Column("by", sa.Text, nullable=False),
    sa.Column("version", sa.String(64), nullable=False),
    sa.Column("serves", sa.String(64)),
)

deployments = sa.Table(
    "deployments",
    metadata,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("record", sa.JSON, nullable=False),
    sa.Column("changed", sa.Float, nullable=False),
)

# Models served on clusters: an Airflow connection, a namespace, and the workload.
cluster_deployments = sa.Table(
    "cluster_deployments",
    metadata,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("connection", sa.String(250), primary_key=True),
    sa.Column("namespace", sa.String(63), primary_key=True),
    sa.Column("workload", sa.JSON, nullable=False),
    sa.Column("record", sa.JSON, nullable=False),
    sa.Column("changed", sa.Float, nullable=False),
)

# The rollout of a version: a Subject, a Rollout and a State of sailplane.deployment.rollout. `driver` holds it until
# `lease_until`; each change increments `revision`.
rollouts = sa.Table(
    "rollouts",
    metadata,
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
)

# Each step of a rollout, and the check results behind it, as JSON.
rollout_decisions = sa.Table(
    "rollout_decisions",
    metadata,
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
    sa.Index("rollout_decisions_by_version", "name", "version"),
)

# Each DAG run's verdict on a model, and its evaluation. `day` is the first day of the run's interval, `kind` the run's
# type: backfill, scheduled, manual, ...
evaluations = sa.Table(
    "evaluations",
    metadata,
    sa.Column("dag", sa.String(250), primary_key=True),
    sa.Column("dag_run", sa.String(250), primary_key=True),
    sa.Column("model", sa.String(64), primary_key=True),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("day", sa.Float, nullable=False),
    sa.Column("as_of", sa.Float, nullable=False),
    sa.Column("gate", sa.JSON, nullable=False),
    sa.Column("record", StoreRecord, nullable=False),
    sa.Column("created", sa.Float, nullable=False),
    sa.Index("evaluations_by_day", "dag", "day"),
)

# The archive of user code that a task of a DAG run uses. See sailplane.registry.pins.
pins = sa.Table(
    "pins",
    metadata,
    sa.Column("dag", sa.String(250), primary_key=True),
    sa.Column("run", sa.String(250), primary_key=True),
    sa.Column("task", sa.String(250), primary_key=True),
    sa.Column("map_index", sa.Integer, primary_key=True),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("turn", sa.Integer, nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("clear", sa.Integer, nullable=False),
    sa.Column("created", sa.Float, nullable=False),
)

# `digest` is the SHA-256 of the secret, in hexadecimal; `hint` its last characters.
api_keys = sa.Table(
    "api_keys",
    metadata,
    sa.Column("id", sa.String(16), primary_key=True),
    sa.Column("user", sa.String(64), nullable=False),
    sa.Column("digest", sa.String(64), nullable=False, unique=True),
    sa.Column("hint", sa.String(8), nullable=False),
    sa.Column("created", sa.Float, nullable=False),
)

insights = sa.Table(
    "insights",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("report", sa.String(32), nullable=False),
    sa.Column("time", sa.Float, nullable=False),
    sa.Column("user", sa.String(64)),
    sa.Column("algorithm", sa.String(129), index=True),
    sa.Column("key", sa.String(255), nullable=False),
    sa.Column("value", sa.JSON),
)

# One row: the id shared with the store, and the version of sailplane that last changed the tables.
identity = sa.Table(
    "identity",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("created", sa.Float, nullable=False),
    sa.Column("written_by", sa.String(64), nullable=False),
)
