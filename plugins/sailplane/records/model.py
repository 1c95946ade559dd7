"""Registered models, their deployments and their batch scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from sailplane.records.dataset import Dataset, Interval
from sailplane.records.evaluation import Evaluation
from sailplane.records.record import SPARSE, Record
from sailplane.records.training import Run


@dataclass(frozen=True, kw_only=True)
class Model(Record):
    """A registered version. `version` is the start of the bundle's digest. `lineage` is the run that trained it; None
    for a version registered by a release that did not record the run."""

    name: str
    version: str
    uri: str
    digest: str
    run: str
    dataset: str
    as_of: datetime
    metrics: Mapping[str, float] = field(default_factory=dict)
    lineage: Run | None = None
    evaluation: Evaluation | None = None


@dataclass(frozen=True, kw_only=True)
class Deployment(Record):
    """Versions behind an endpoint. `weights` is the percentage of the traffic by version. `on_violation` says whether
    to "refuse", "flag" or "answer" requests whose values fail a check of the schema."""

    name: str
    version: str
    weights: Mapping[str, int]
    endpoint: str
    on_violation: str = field(default="refuse", metadata=SPARSE)


@dataclass(frozen=True, kw_only=True)
class Predictions(Record):
    """The scores that one version of a model gave to the rows of `interval`, except `rejected` rows. `uri` is that of
    the manifest, from which sailplane.predictions reads the scores."""

    model: str
    version: str
    dataset: Dataset
    interval: Interval
    uri: str
    rows: int
    rejected: int
