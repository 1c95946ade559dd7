"""Keep URIs of the store relative to it, in the records of models, evaluations, trials and sweeps' jobs.

The store's root is read from the models' own URIs. If they name several stores, `sailplane up` makes the URIs
of the current store relative.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

KEYS = {
    ("models", "record"): ("name", "version"),
    ("evaluations", "record"): ("dag", "dag_run", "model"),
    ("trials", "run"): ("sweep", "number"),
    ("sweep_jobs", "spec"): ("sweep",),
}


def upgrade() -> None:
    connection = op.get_bind()
    models = _table("models", "record")
    records = list(connection.execute(sa.select(models.c.record)).scalars())
    roots = {model["uri"].removesuffix(f"/models/{model['name']}/{model['version']}") for model in records}
    if len(roots) != 1:
        return
    root = roots.pop()
    for (name, column), keys in KEYS.items():
        table = _table(name, column)
        for row in connection.execute(sa.select(table)).mappings().all():
            relative = _relative(row[column], root)
            if relative != row[column]:
                this = sa.and_(*(table.c[key] == row[key] for key in keys))
                connection.execute(sa.update(table).where(this).values({column: relative}))


def _table(name: str, column: str) -> sa.TableClause:
    return sa.table(name, *(sa.column(key) for key in KEYS[name, column]), sa.column(column, sa.JSON))


def _relative(value: Any, root: str) -> Any:
    if isinstance(value, str):
        return f"store://{value[len(root) :]}" if value.startswith(f"{root}/") else value
    if isinstance(value, dict):
        return {key: _relative(item, root) for key, item in value.items()}
    if isinstance(value, list):
        return [_relative(item, root) for item in value]
    return value
