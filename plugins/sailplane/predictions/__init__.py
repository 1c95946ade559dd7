"""Predictions: the scores of a dataset's rows by a model version, in one Parquet file per partition, written once.

A row of a file is a row of the partition. `partition` (the day) and `row` (its position, from 0, in the order of
`sailplane.datasets.load` for the day) identify it in every version of the dataset with these contents. Then come the
dataset's times, the kept columns, the scores under the names of the bundle's outputs, and `model_version`.

"""

from __future__ import annotations

from sailplane.predictions.reading import load, rejected, scan
from sailplane.predictions.scoring import score

__all__ = ["load", "rejected", "scan", "score"]
