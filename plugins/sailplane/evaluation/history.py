"""The history of a pipeline: the verdicts of its DAG runs, on the ledger."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import sqlalchemy as sa

from sailplane.ledger import Ledger, persistent
from sailplane.ledger.tables import evaluations as table
from sailplane.records import Evaluation, Interval, Model, Record, Run
from sailplane.storage import Storage

# Prefix of the copies' file names.
JUDGED: Final = "judged-"


@dataclass(frozen=True, kw_only=True)
class Judged(Record):
    """The verdict of a DAG run. `day` is the start of its interval, `kind` its type (backfill, scheduled, manual, ...),
    and `gate` the settings of the DAG's gate."""

    dag: str
    dag_run: str
    kind: str
    day: datetime
    evaluation: Evaluation
    gate: Mapping[str, Any] = field(default_factory=dict)


@persistent
def keep(ledger: Ledger, judged: Judged, storage: Storage | None = None) -> None:
    """Records the verdict. It replaces an earlier one of the same DAG run on the same model, as after a retry. A copy
    in the store serves to rebuild a lost ledger."""
    if storage is not None:
        storage.put(copy_path(judged), json.dumps(judged.to_dict()).encode())
    with ledger.begin() as connection:
        keep_within(connection, judged)


def keep_within(connection: sa.Connection, judged: Judged) -> None:
    """`keep` as part of a transaction."""
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
    connection.execute(sa.delete(table).where(_same(judged.dag, judged.dag_run, evaluation.model)))
    connection.execute(sa.insert(table).values(row))


@persistent
def amend(ledger: Ledger, dag: str, dag_run: str, evaluation: Evaluation, storage: Storage | None = None) -> None:
    """Updates a verdict, for example with the answer of a user."""
    same = _same(dag, dag_run, evaluation.model)
    with ledger.begin() as connection:
        connection.execute(sa.update(table).where(same).values(record=evaluation.to_dict()))
        row = connection.execute(sa.select(table).where(same)).mappings().one_or_none()
    if storage is not None and row is not None:
        judged = _judged(row)
        storage.put(copy_path(judged), json.dumps(judged.to_dict()).encode())


def copy_path(judged: Judged) -> str:
    """The path of the verdict's copy in the store, in the folder of its run."""
    which = json.dumps([judged.dag, judged.dag_run, judged.evaluation.model])
    return f"runs/{judged.evaluation.run.id}/{JUDGED}{hashlib.sha256(which.encode()).hexdigest()[:12]}.json"


def keys_within(connection: sa.Connection) -> set[tuple[str, str, str]]:
    """All verdicts as (DAG, DAG run, model)."""
    rows = connection.execute(sa.select(table.c.dag, table.c.dag_run, table.c.model))
    return {(row.dag, row.dag_run, row.model) for row in rows}


@persistent
def verdicts(ledger: Ledger, dag: str, days: Interval) -> tuple[Judged, ...]:
    """The verdicts of runs whose interval starts on one of these days, by as-of and then by age, the newest last."""
    starts = sa.and_(table.c.day >= days.start.timestamp(), table.c.day < days.end.timestamp())
    query = sa.select(table).where(table.c.dag == dag, starts).order_by(table.c.as_of, table.c.created)
    with ledger.begin() as connection:
        return tuple(_judged(row) for row in connection.execute(query).mappings())


@persistent
def newest(ledger: Ledger) -> list[Judged]:
    """The last verdict on each model's newest as-of, in the order of the models' names. Ignores backfills."""
    query = sa.select(table).where(table.c.kind != "backfill").order_by(table.c.as_of, table.c.created)
    with ledger.begin() as connection:
        found = {row["model"]: row for row in connection.execute(query).mappings()}
    return [_judged(found[model]) for model in sorted(found)]


@persistent
def counted_gains(
    ledger: Ledger, champion: Model | None, metric: str, *, as_of: datetime, dag: str, dag_run: str
) -> dict[str, float]:
    """The gain over the champion by day, each from the first evaluation that has the day, in the order of their as-of.

    Counts evaluations by this metric, of any DAG, from the champion's as-of to this one. Backfills do not count. Nor
    does this DAG run, so that a retry gives the same result. Evaluations from before the champion's as-of would include
    days on which it was trained.
    """
    if champion is None:
        return {}
    here = sa.and_(table.c.model == champion.name, table.c.kind != "backfill", table.c.as_of <= as_of.timestamp())
    others = sa.not_(_same(dag, dag_run, champion.name))
    query = sa.select(table).where(here, table.c.as_of >= champion.as_of.timestamp(), others)
    with ledger.begin() as connection:
        rows = connection.execute(query.order_by(table.c.as_of, table.c.created)).mappings()
        found = [_judged(row) for row in rows]
    return merge_gains(judged.evaluation.day_gains for judged in found if _is_against(judged, champion, metric))


@persistent
def first_gains(
    ledger: Ledger, champion: Model | None, metric: str, run: Run, *, dag: str, dag_run: str
) -> dict[str, float]:
    """The gains over the champion with which this DAG run was first counted, so that clearing its tasks does not give
    it a second chance. Empty without an earlier verdict by this metric on the same data and the same code."""
    query = sa.select(table).where(_same(dag, dag_run, run.model))
    with ledger.begin() as connection:
        row = connection.execute(query).mappings().one_or_none()
    if champion is None or row is None or not _is_against(before := _judged(row), champion, metric):
        return {}
    return dict(before.evaluation.day_gains) if _origin(before.evaluation.run) == _origin(run) else {}


def merge_gains(evaluations: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """The gain by day, each from the first evaluation that has the day, in the order of counting."""
    found: dict[str, float] = {}
    for gains in evaluations:
        for day in sorted(gains):
            found.setdefault(day, gains[day])
    return found


@persistent
def find(ledger: Ledger, model: str, dag_run: str | None = None) -> Judged | None:
    """The verdict of that DAG run on the model; without a `dag_run`, the model's `newest` verdict. None if there is
    none."""
    if dag_run is None:
        return next((judged for judged in newest(ledger) if judged.evaluation.model == model), None)
    query = sa.select(table).where(table.c.model == model, table.c.dag_run == dag_run).order_by(table.c.created)
    with ledger.begin() as connection:
        found = connection.execute(query).mappings().all()
    return _judged(found[-1]) if found else None


def _is_against(judged: Judged, champion: Model, metric: str) -> bool:
    """Whether the run compared with this champion by this metric. A gate recorded without a metric compared the AUC."""
    return judged.evaluation.champion == champion.version and judged.gate.get("metric", "auc") == metric


def _origin(run: Run) -> tuple[str, ...]:
    """The data and the code of a run, but not its configuration: a sweep may have chosen that at random."""
    return run.dataset.version, run.code, run.features, run.train


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
