"""The verdicts that DAG runs gave, on the ledger: the pipeline's own past."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from sailplane.ledger import Ledger
from sailplane.ledger.tables import evaluations as table
from sailplane.records import Evaluation, Interval, Record


@dataclass(frozen=True, kw_only=True)
class Judged(Record):
    """What a DAG run gave. `day` is the first of its interval, `kind` its type (backfill, scheduled, manual, ...), and
    `gate` what the DAG declared to judge by."""

    dag: str
    dag_run: str
    kind: str
    day: datetime
    evaluation: Evaluation
    gate: Mapping[str, Any] = field(default_factory=dict)


def keep(ledger: Ledger, judged: Judged) -> None:
    """In place of what the same DAG run gave on the same model before: a retry or a clear judges anew."""
    evaluation = judged.evaluation
    row = {
        "dag": judged.dag,
        "dag_run": judged.dag_run,
        "model": evaluation.model,
        "kind": judged.kind,
        "day": judged.day.timestamp(),
        "as_of": evaluation.run.as_of.timestamp(),
        "gate": dict(judged.gate),
        "record": evaluation.to_dict(),
        "created": time.time(),
    }
    with ledger.begin() as connection:
        connection.execute(sa.delete(table).where(_same(judged.dag, judged.dag_run, evaluation.model)))
        connection.execute(sa.insert(table).values(row))


def amend(ledger: Ledger, dag: str, dag_run: str, evaluation: Evaluation) -> None:
    """What became of a verdict that is kept: a person's answer, say."""
    with ledger.begin() as connection:
        same = _same(dag, dag_run, evaluation.model)
        connection.execute(sa.update(table).where(same).values(record=evaluation.to_dict()))


def of(ledger: Ledger, dag: str, days: Interval) -> tuple[Judged, ...]:
    """Of the runs whose interval begins on one of these days, in the order of their as-of, the newer verdict last."""
    begins = sa.and_(table.c.day >= days.start.timestamp(), table.c.day < days.end.timestamp())
    query = sa.select(table).where(table.c.dag == dag, begins).order_by(table.c.as_of, table.c.created)
    with ledger.begin() as connection:
        return tuple(_judged(row) for row in connection.execute(query).mappings())


def _same(dag: str, dag_run: str, model: str) -> sa.ColumnElement[bool]:
    return sa.and_(table.c.dag == dag, table.c.dag_run == dag_run, table.c.model == model)


def _judged(row: Mapping[Any, Any]) -> Judged:
    return Judged(
        dag=row["dag"],
        dag_run=row["dag_run"],
        kind=row["kind"],
        day=datetime.fromtimestamp(row["day"], UTC),
        evaluation=Evaluation.from_dict(row["record"]),
        gate=row["gate"],
    )
