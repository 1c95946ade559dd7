"""Names sweeps on the ledger."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import chain, count
from typing import Final

from airflow.sdk import Context

from sailplane.ledger import Ledger
from sailplane.operators.job import run_name

DEFAULT_GROUP: Final = "sweep"
# The length of the ledger's column.
MOST_CHARACTERS: Final = 64


def sweep_id(model: str, context: Context, number: int = 1) -> str:
    """The name of a task group's sweep in a DAG run, such as `churn/scheduled__2026-11-20T00-00-00` for the group
    `sweep` of a DAG with the name of its model. The second sweep, after a clear, ends in `~2`."""
    ti = context["ti"]
    dag, group = ti.dag_id, ti.task_id.rpartition(".")[0]
    qualifiers = ([dag] if dag != model else []) + ([group] if group != DEFAULT_GROUP else [])
    name = "/".join([model, run_name(context), *qualifiers]) + (f"~{number}" if number > 1 else "")
    if len(name) <= MOST_CHARACTERS:
        return name
    return f"{name[: MOST_CHARACTERS - 9]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def found_sweep(ledger: Ledger, model: str, context: Context) -> str:
    """The newest sweep of the task group and run; if there is none, the name of the first."""
    sweeps = list(_sweeps(ledger, model, context))
    return sweeps[-1] if sweeps else sweep_id(model, context)


def next_sweep(ledger: Ledger, model: str, context: Context) -> str:
    return sweep_id(model, context, len(list(_sweeps(ledger, model, context))) + 1)


def _sweeps(ledger: Ledger, model: str, context: Context) -> Iterator[str]:
    """The sweeps of the task group and run, oldest first."""
    from sailplane.sweeps.results import job, names

    known, first = set(names(ledger)), sweep_id(model, context)
    earlier = f"{model}/{run_name(context)}"
    # Earlier releases had one sweep per model and run, and did not record its DAG.
    if first not in known and earlier in known and "dag" not in (job(ledger, earlier) or {}):
        first = earlier
    for name in chain([first], (sweep_id(model, context, number) for number in count(2))):
        if name not in known:
            return
        yield name
