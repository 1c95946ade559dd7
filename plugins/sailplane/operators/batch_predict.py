from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow.sdk import Context

from sailplane import pairing
from sailplane.errors import ConfigurationError, DataError
from sailplane.home import Home
from sailplane.operators.as_of import as_of
from sailplane.operators.job import DetachedJobOperator
from sailplane.operators.named import registered
from sailplane.records import Dataset, Interval, Model, Run

if TYPE_CHECKING:
    from sailplane.training.specs import ScoreSpec


class BatchPredictOperator(DetachedJobOperator):
    """Scores a dataset of any size by a model's bundle, the one that is served, in a process of its own; returns
    `Predictions`.

        BatchPredictOperator(task_id="score", model="churn", dataset=ingest.output, keep=["customer"])

    A partition at a time, and of that some rows at a time. Each becomes one Parquet file on the store, under
    predictions/<model>/<version>/<dataset>/, and is not scored again by this version as long as its contents are the
    same, whatever task or run asks. A retry goes on with the partitions that are left, to the same files, byte for
    byte; if a name means another version by then, to that one's.

    Each row that has a score has `partition` (the day), `row` (its place there, from 0, as `sailplane.datasets.load`
    gives that day), the dataset's times, the columns of `keep`, a column for each output of the model, and
    `model_version`. `sailplane.predictions.load(storage, predictions)` and `scan` read them. Rows that the model
    refuses are counted in the result, and have files of their own with the reason; it fails if all are, or if the
    dataset lacks a column that the model takes. It need not have the target.

    **Time.** Only days before the as-of are scored. A name means the champion; to a run that stands before the
    champion's own as-of, as those of a backfill do, it means the newest registered version that has seen no later days,
    and the task fails if there is none. `name@champion`, a version and a record mean what they say, with a warning. So
    a backfill scores as one would have done then; `model=train.output` scores by what each of its runs has trained.

    :param model: `name`, `name@version` or `name@alias`; or the `Model`, the `Deployment` or the `Run` that a task
        returned
    :param dataset: the `Dataset` that `ingest` returned
    :param keep: columns of the dataset that go with the scores, such as what you join by
    """

    template_fields: Sequence[str] = ("model", "dataset")

    def __init__(self, *, model: Any, dataset: Any, keep: Sequence[str] = (), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if isinstance(keep, str):
            raise ConfigurationError("read keep of", self.task_id, got=repr(keep), expected=f"a list, as in [{keep!r}]")
        self.model: str | Mapping[str, Any] = model
        self.dataset: Mapping[str, Any] = dataset
        self.keep = keep

    def specification(self, context: Context) -> ScoreSpec:
        from sailplane.training.specs import ScoreSpec

        stands, dataset = as_of(context), Dataset.from_dict(self.dataset)
        model = self._named(stands)
        if model.as_of > stands:
            self.log.warning(
                "The model has seen the days up to %s; this run is as of %s",
                f"{model.as_of:%Y-%m-%d}",
                f"{stands:%Y-%m-%d}",
            )
        return ScoreSpec(
            bundle=model.bundle if isinstance(model, Run) else model.uri,
            digest=None if isinstance(model, Run) else model.digest,
            dataset=dataset,
            interval=_known_days(dataset, stands),
            keep=tuple(self.keep),
        )

    def _named(self, stands: datetime) -> Model | Run:
        if isinstance(self.model, Mapping) and "bundle" in self.model:
            return Run.from_dict(self.model)
        return registered(
            pairing.ledger(Home.find()), self.model, lambda: stands, task=self.task_id, others=" or a Run"
        )


def _known_days(dataset: Dataset, stands: datetime) -> Interval:
    known = Interval(start=dataset.interval.start, end=min(dataset.interval.end, stands))
    if not known.days:
        raise DataError(
            "score",
            dataset.name,
            got=f"the days {dataset.interval}",
            expected=f"days before {stands:%Y-%m-%d}, the as-of",
        )
    return known
