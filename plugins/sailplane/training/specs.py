"""What a detached training process is told to do: job.json."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sailplane.records import Dataset, Record


@dataclass(frozen=True, kw_only=True)
class TrainSpec(Record):
    """One training. `features`, `train` and `baseline` are code paths; `run` is the id of the run that it makes."""

    run: str
    model: str
    dataset: Dataset
    as_of: datetime
    features: str
    train: str
    baseline: str | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    kind: str = "train"


@dataclass(frozen=True, kw_only=True)
class SweepWorkerSpec(Record):
    """One worker of a sweep: it pulls trials until the sweep has no more. A trial's run id is `<sweep>/<number>`."""

    sweep: str
    worker: str
    model: str
    dataset: Dataset
    as_of: datetime
    features: str
    train: str
    config: Mapping[str, Any] = field(default_factory=dict)
    kind: str = "sweep_worker"
