"""Trainings: runs, and the trials of a sweep."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from sailplane.records.dataset import Dataset
from sailplane.records.record import SPARSE, Record


@dataclass(frozen=True, kw_only=True)
class Run(Record):
    """One training: its inputs, its measurements, and the URI of its bundle.

    `features` and `train` are code paths. `code` is the SHA-256 of the project's sources, stored at code/<code>.zip;
    `environment` is that of the list of installed packages, stored at environments/<environment>.txt. `steps` is the
    last logged step: a trial may be stopped early. `threads` is recorded because it determines the order of sums.
    `digest` is the bundle's: a cleared run replaces its bundle. `baseline` is the URI of the baseline's bundle, and
    `baseline_train` the code path of its train function."""

    id: str
    model: str
    config: Mapping[str, Any]
    seed: int
    dataset: Dataset
    as_of: datetime
    metrics: Mapping[str, float]
    bundle: str
    seconds: float
    baseline: str | None = None
    sweep: str | None = None
    trial: int | None = None
    features: str = ""
    train: str = ""
    code: str = ""
    environment: str = ""
    device: str = "cpu"
    threads: int = 1
    processes: int = 1
    precision: str = "float32"
    stream: bool = False
    steps: int | None = None
    digest: str | None = None
    baseline_train: str = field(default="", metadata=SPARSE)


@dataclass(frozen=True, kw_only=True)
class Trial(Record):
    """One configuration of a sweep. `score` is the sweep's metric, None until the trial has finished; `values` are the
    intermediate values that the trial reported."""

    sweep: str
    number: int
    config: Mapping[str, Any]
    state: Literal["running", "finished", "failed"]
    score: float | None = None
    values: tuple[float, ...] = ()
    run: Run | None = None
