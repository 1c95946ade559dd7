"""A manifest: the scored partitions of an interval. It is there when all of them are."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
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
    """Equal scores of equal partitions give an equal manifest, which is written once."""
    content = {
        "model": model,
        "version": version,
        "dataset": {"name": dataset.name, "version": dataset.version},
        **interval.to_dict(),
        "outputs": done.columns.outputs,
        "carried": [field.to_dict() for field in done.columns.carried],
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


class Listed:
    """What the manifest of predictions says. Raises DataError if it is gone."""

    def __init__(self, storage: Storage, predictions: Predictions) -> None:
        try:
            values: Mapping[str, Any] = json.loads(storage.get(storage.path(predictions.uri)))
        except FileNotFoundError as error:
            remedy = "Run again the task that scored."
            raise DataError("read predictions", predictions.uri, got="they are gone", remedy=remedy) from error
        self.days = [ScoredPartition.from_dict(each) for each in values["partitions"]]
        self.carried = [Field.from_dict(each) for each in values["carried"]]
