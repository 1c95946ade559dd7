"""The manifest of an interval's scored partitions. It is written after all of them exist."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from sailplane.errors import DataError
from sailplane.predictions.partitions import ScoredPartition, ScoredPartitions
from sailplane.records import Dataset, Field, Interval, Predictions
from sailplane.storage import Storage


def publish(
    done: ScoredPartitions,
    *,
    model: str,
    version: str,
    dataset: Dataset,
    interval: Interval,
    days: Sequence[ScoredPartition],
) -> Predictions:
    """Writes the manifest. Equal scores of equal partitions give the same manifest, which is written once."""
    content = {
        "model": model,
        "version": version,
        "dataset": {"name": dataset.name, "version": dataset.version},
        **interval.content(),
        "outputs": done.columns.outputs,
        "carried": [field.content() for field in done.columns.carried],
        "partitions": [vars(day) for day in days],
    }
    data = json.dumps(content, indent=1).encode()
    path = f"{done.folder}/{hashlib.sha256(data).hexdigest()[:16]}.json"
    done.storage.keep(path, data)
    return Predictions(
        model=model,
        version=version,
        dataset=dataset,
        interval=interval,
        uri=done.storage.uri(path),
        rows=sum(day.rows for day in days),
        rejected=sum(day.refused for day in days),
    )


class PredictionsManifest:
    """The content of a predictions manifest. Raises DataError if it is missing or damaged."""

    def __init__(self, storage: Storage, predictions: Predictions) -> None:
        try:
            path = storage.path(predictions.uri)
            self.days, self.carried = storage.read_json(path, _listed, "Delete it and rerun the scoring task.")
        except FileNotFoundError as error:
            remedy = "Rerun the scoring task."
            raise DataError("read predictions", predictions.uri, got="they are missing", remedy=remedy) from error


def _listed(values: Any) -> tuple[list[ScoredPartition], list[Field]]:
    days = [ScoredPartition.from_dict(partition) for partition in values["partitions"]]
    return days, [Field.from_dict(each) for each in values["carried"]]
