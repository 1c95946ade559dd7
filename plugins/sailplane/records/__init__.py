"""The nouns that cross tasks: small frozen records that convert to JSON and back. None holds a frame or a model."""

from __future__ import annotations

from sailplane.records.dataset import SOURCE_DELAY, Check, Dataset, Field, FieldKind, Interval, Windows
from sailplane.records.evaluation import Approval, Evaluation, Offer, Rule
from sailplane.records.model import Deployment, Model, Predictions
from sailplane.records.record import SPARSE, VERSION, VERSION_KEY, Record
from sailplane.records.training import Run, Trial

__all__ = [
    "SOURCE_DELAY",
    "SPARSE",
    "VERSION",
    "VERSION_KEY",
    "Approval",
    "Check",
    "Dataset",
    "Deployment",
    "Evaluation",
    "Field",
    "FieldKind",
    "Interval",
    "Model",
    "Offer",
    "Predictions",
    "Record",
    "Rule",
    "Run",
    "Trial",
    "Windows",
]
