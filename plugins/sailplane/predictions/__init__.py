"""Predictions: the scores of a dataset's rows by one version of a model, one Parquet file a partition, written once.

A row of a file is a row of the partition: `partition` (the day) and `row` (its place there, from 0, in the order in
which `sailplane.datasets.load` gives the day) say which, in any version of the dataset that holds these contents. Then
come the dataset's times, the columns that were asked for, the scores by the names of the bundle's outputs, and
`model_version`.
"""

from __future__ import annotations

from sailplane.predictions.reading import load, rejected, scan
from sailplane.predictions.scoring import score

__all__ = ["load", "rejected", "scan", "score"]
