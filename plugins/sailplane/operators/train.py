from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import Context

from sailplane.operators.as_of import as_of
from sailplane.operators.job import DetachedJobOperator, run_name
from sailplane.operators.pins import pin_code
from sailplane.operators.xcom import XComOf
from sailplane.records import Dataset

if TYPE_CHECKING:
    from sailplane.training.compute import Precision
    from sailplane.training.specs import TrainSpec


class TrainModelOperator(DetachedJobOperator):
    """Trains the model, and its baseline on the same rows, in a separate process.

    A retry finds the process again, or restarts it from the last checkpoint. A clear starts from the beginning.

    :param model: name of the model
    :param dataset: the `Dataset` that the ingest task returned
    :param features: path of the module with `fit`, `transform` and `TARGET`
    :param train: path of `train(config, data, run) -> torch.nn.Module`
    :param baseline: path of a function with the same signature, which trains the baseline; None for no baseline
    :param config: the configuration for the train function; trials of a sweep override parts of it
    :param seed: seeds Python, numpy and torch
    :param processes: how many processes train the model together; each has its own GPU if there are enough
    :param precision: `"float32"`, or `"mixed"` to compute in 16 bits inside `run.autocast()`
    :param stream: read the training rows again in each epoch, for data larger than memory
    :returns: a `Run`
    :raises TrainingError: if the train function raises or returns no model, or the exported model gives other scores
    :raises DataError: if a window has no labelled rows, or `transform` loses rows
    :raises JobError: if the process was killed; a retry resumes from its last checkpoint

    Example::

        TrainModelOperator(
            task_id="train",
            model="churn",
            dataset=ingest.output,
            features="include.churn.features",
            train="include.churn.model:train",
            baseline="include.churn.model:baseline",
        )
    """

    template_fields: Sequence[str] = ("dataset", "config")

    def __init__(
        self,
        *,
        model: str,
        dataset: XComOf[Dataset],
        features: str,
        train: str,
        baseline: str | None = None,
        config: Mapping[str, Any] | None = None,
        seed: int = 0,
        processes: int = 1,
        precision: Precision = "float32",
        stream: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.model = model
        self.dataset: Any = dataset
        self.features = features
        self.train = train
        self.baseline = baseline
        self.config = config or {}
        self.seed = seed
        self.processes = processes
        self.precision = precision
        self.stream = stream

    def specification(self, context: Context) -> TrainSpec:
        from sailplane.training.specs import TrainSpec

        return TrainSpec(
            run=f"{self.model}/{run_name(context)}/{self.task_id}",
            model=self.model,
            dataset=Dataset.from_dict(self.dataset),
            as_of=as_of(context),
            features=self.features,
            train=self.train,
            baseline=self.baseline,
            config=self.config,
            seed=self.seed,
            code=pin_code(self, context),
            processes=self.processes,
            precision=self.precision,
            stream=self.stream,
        )
