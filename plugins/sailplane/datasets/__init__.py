"""Datasets: one Parquet partition a day, written once, addressed by content; a version is a list of partitions."""

from __future__ import annotations

from sailplane.datasets.ingestion import ingest
from sailplane.datasets.schema import fields
from sailplane.datasets.versions import load, scan

__all__ = ["fields", "ingest", "load", "scan"]
