"""The specifications of detached processes: values only, JSON both ways."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from sailplane.errors import ConfigurationError
from sailplane.records import Dataset, Interval, Record
from sailplane.training.compute import Precision
from sailplane.training.limits import SILENCE_SECONDS


@dataclass(frozen=True, kw_only=True)
class TrainSpec(Record):
    """Trains one configuration, and the baseline on the same rows. `features`, `train`, `baseline` are code paths.

    `sweep` and `trial` are the origin of the configuration. With `until`, another machine trained the model up to that
    logged step, and this run starts from its checkpoint. `processes` is the number of processes that train the model
    together. `stream` reads the train rows again in each epoch, for rows that do not fit in memory. `code` is the
    digest of the archived user code; without it the project's own code is used.
    """

    kind: Literal["train"] = "train"
    run: str
    model: str
    dataset: Dataset
    as_of: datetime
    features: str
    train: str
    baseline: str | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    sweep: str | None = None
    trial: int | None = None
    until: int | None = None
    code: str | None = None
    processes: int = 1
    precision: Precision = "float32"
    stream: bool = False

    @property
    def shelf(self) -> str:
        """The folder of its checkpoints, by digest: another specification of the same run must not resume from them."""
        digest = hashlib.sha256(json.dumps(self.content(), sort_keys=True).encode()).hexdigest()
        return f"runs/{self.run}/checkpoints/{digest[:12]}"


@dataclass(frozen=True, kw_only=True)
class SweepWorkerSpec(Record):
    """Trains trials of a sweep until none are left. The seed of a trial is the sweep's seed plus the trial's number. A
    trial that logs nothing for `hung_seconds`, and for much longer than other trials took, counts as hung. `dag` is the
    DAG of the sweep, `code` is the same as in TrainSpec, and `sources` is the digest of the code that `features` and
    `train` need."""

    kind: Literal["sweep_worker"] = "sweep_worker"
    dag: str = ""
    code: str | None = None
    sources: str | None = None
    sweep: str
    worker: str
    model: str
    dataset: Dataset
    as_of: datetime
    features: str
    train: str
    config: Mapping[str, Any] = field(default_factory=dict)
    lease_seconds: float = 30.0
    hung_seconds: float = SILENCE_SECONDS
    precision: Precision = "float32"
    stream: bool = False

    def trial(self, number: int, config: Mapping[str, Any], seed: int, attempt: str) -> TrainSpec:
        """The specification of one trial. `attempt` is unique, because a worker that lost the trial must not overwrite
        the next worker's files."""
        return TrainSpec(
            run=f"{self.sweep}/trial-{number}-{attempt}",
            model=self.model,
            dataset=self.dataset,
            as_of=self.as_of,
            features=self.features,
            train=self.train,
            config={**self.config, **config},
            seed=seed + number,
            sweep=self.sweep,
            trial=number,
            code=self.code,
            precision=self.precision,
            stream=self.stream,
        )


@dataclass(frozen=True, kw_only=True)
class ScoreSpec(Record):
    """Scores the days of the interval with the bundle at this URI of the store, and checks its digest if it is known.
    `keep` names columns of the dataset that are stored with the scores."""

    kind: Literal["score"] = "score"
    bundle: str
    digest: str | None = None
    dataset: Dataset
    interval: Interval
    keep: tuple[str, ...] = ()


Spec = TrainSpec | SweepWorkerSpec | ScoreSpec


def spec_from(values: Mapping[str, Any]) -> Spec:
    """The specification with these values. Raises ConfigurationError for an unknown kind."""
    kind = values.get("kind")
    if kind == "train":
        return TrainSpec.from_dict(values)
    if kind == "sweep_worker":
        return SweepWorkerSpec.from_dict(values)
    if kind == "score":
        return ScoreSpec.from_dict(values)
    raise ConfigurationError("read job", got=f"kind {kind!r}", expected="train, sweep_worker or score")
