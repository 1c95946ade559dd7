"""Datasets: one content-addressed Parquet partition a day, and a new one when the source changes. A version of a
dataset is a list of partitions."""

from __future__ import annotations

from sailplane.datasets.ingestion import ingest
from sailplane.datasets.schema import fields
from sailplane.datasets.versions import load, scan

__all__ = ["fields", "ingest", "load", "scan"]
