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
from sailplane.operators.xcom import XComOf
from sailplane.records import Dataset, Deployment, Interval, Model, Run

if TYPE_CHECKING:
    from sailplane.training.specs import ScoreSpec


class BatchPredictOperator(DetachedJobOperator):
    """Scores a dataset of any size with a model's bundle, in a separate process and in bounded memory.

    Each partition becomes one Parquet file in the store, under predictions/<model>/<version>/<dataset>/. No task or run
    scores it again with this version while its contents stay the same. A retry scores the remaining partitions into the
    same files, byte for byte. If the name means another version by then, the retry uses that version and its files.

    Each scored row has `partition` (the day), `row` (its position in the day, from 0), the dataset's times, the columns
    of `keep`, a column for each output of the model, and `model_version`. `sailplane.predictions.load(storage,
    predictions)` and `scan` read them. Rows that the model refuses are counted, and written to separate files with the
    reason. The dataset does not need the target.

    **Time.** Only days before the as-of are scored. A name means the champion. For a run whose as-of is before the
    champion's, as in a backfill, it means the newest registered version that has seen no later days. `name@champion`, a
    version and a record are used as given; the log warns if the model has seen later days.

    :param model: `name`, `name@version` or `name@alias`; or the `Model`, `Deployment` or `Run` that a task returned
    :param dataset: the `Dataset` that the ingest task returned
    :param keep: columns of the dataset to store with the scores, such as the key to join by
    :returns: `Predictions`
    :raises ConfigurationError: if `keep` is not a list, or names a column that the dataset lacks
    :raises SchemaError: if the dataset lacks a column that the model needs
    :raises DataError: if no day is before the as-of, or the model refuses all rows
    :raises ModelError: if there is no such version, or none from before the as-of

    Example::

        BatchPredictOperator(task_id="score", model="churn", dataset=ingest.output, keep=["customer"])
    """

    template_fields: Sequence[str] = ("model", "dataset")

    def __init__(
        self,
        *,
        model: str | XComOf[Model | Deployment | Run],
        dataset: XComOf[Dataset],
        keep: Sequence[str] = (),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if isinstance(keep, str):
            raise ConfigurationError("read keep of", self.task_id, got=repr(keep), expected=f"a list, as in [{keep!r}]")
        self.model: Any = model
        self.dataset: Any = dataset
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
