"""A sweep maps over workers, not over trials: each worker pulls trials from the ledger until there are no more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from airflow.sdk import BaseOperator, Context, TaskGroup, TriggerRule

from sailplane.home import Home
from sailplane.ledger import Ledger
from sailplane.operators.as_of import as_of
from sailplane.operators.job import DetachedJobOperator, run_name
from sailplane.operators.retries import USER_ERRORS_FAIL
from sailplane.operators.train import TrainModelOperator
from sailplane.records import Dataset

if TYPE_CHECKING:
    from sailplane.training.specs import SweepWorkerSpec

DEFAULT_WORKERS: Final = 2


def sweep(
    trained: TrainModelOperator, file: str, *, trials: int | str = 0, workers: int | str = 0, group_id: str = "sweep"
) -> Any:
    """A task group `create >> worker (mapped) >> best` that searches the configuration of a train step.

    :param trained: the train step whose dataset, features and train function the trials use
    :param file: a W&B sweep file, relative to the project
    :param trials: overrules the file's `run_cap`, unless 0
    :param workers: how many workers pull trials; if 0, as the file says, else two
    :returns: the best trial's `Run`, as XCom
    """
    with TaskGroup(group_id) as group:
        created = CreateSweepOperator(
            task_id="create", model=trained.model, file=file, trials=trials, workers=workers, seed=trained.seed
        )
        worked = SweepWorkerOperator.partial(
            task_id="worker",
            model=trained.model,
            dataset=trained.dataset,
            features=trained.features,
            train=trained.train,
            config=trained.config,
            map_index_template="{{ task.worker }}",
        ).expand_kwargs(created.output)
        best = BestTrialOperator(task_id="best", model=trained.model, trigger_rule=TriggerRule.ALL_DONE_MIN_ONE_SUCCESS)
        created >> worked >> best
    trained >> group
    return best.output


def sweep_id(model: str, context: Context) -> str:
    return f"{model}/{run_name(context)}"


class CreateSweepOperator(BaseOperator):
    """Puts the sweep on the ledger; returns one `{worker: name}` for each worker.

    The sweep belongs to the DAG run: a retry or a clear finds the trials that are done and goes on.
    """

    template_fields: Sequence[str] = ("file", "trials", "workers")

    def __init__(
        self, *, model: str, file: str, trials: int | str, workers: int | str, seed: int, **kwargs: Any
    ) -> None:
        super().__init__(**{"retry_policy": USER_ERRORS_FAIL, **kwargs})
        self.model = model
        self.file = file
        self.trials = trials
        self.workers = workers
        self.seed = seed

    def execute(self, context: Context) -> list[dict[str, str]]:
        from sailplane.sweeps.queue import create_sweep
        from sailplane.sweeps.space import read_sweep

        home = Home.find()
        config = read_sweep(home.project / self.file, run_cap=int(self.trials) or None)
        create_sweep(Ledger.at(home), sweep_id(self.model, context), config, seed=self.seed)
        workers = int(self.workers) or config.workers or DEFAULT_WORKERS
        return [{"worker": f"worker {n}"} for n in range(1, workers + 1)]


class SweepWorkerOperator(DetachedJobOperator):
    """Trains trials in a process of its own until the sweep has no more; returns how many it trained.

    A retry goes on with the trials that are left. A trial that fails is recorded with its reason, and the next goes on.
    """

    template_fields: Sequence[str] = ("dataset", "config", "worker")

    def __init__(
        self,
        *,
        worker: str,
        model: str,
        dataset: Any,
        features: str,
        train: str,
        config: Mapping[str, Any],
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.worker = worker
        self.model = model
        self.dataset = dataset
        self.features = features
        self.train = train
        self.config = config

    def specification(self, context: Context) -> SweepWorkerSpec:
        from sailplane.training.specs import SweepWorkerSpec

        return SweepWorkerSpec(
            sweep=sweep_id(self.model, context),
            worker=self.worker,
            model=self.model,
            dataset=Dataset.from_dict(self.dataset),
            as_of=as_of(context),
            features=self.features,
            train=self.train,
            config=self.config,
        )


class BestTrialOperator(BaseOperator):
    """Returns the best trial's `Run`. Fails, with each trial's reason, if none finished."""

    def __init__(self, *, model: str, **kwargs: Any) -> None:
        super().__init__(**{"retry_policy": USER_ERRORS_FAIL, **kwargs})
        self.model = model

    def execute(self, context: Context) -> dict[str, Any]:
        from sailplane.sweeps.results import best

        run = best(Ledger.at(Home.find()), sweep_id(self.model, context))
        self.log.info("Best: trial %s, %s with %s", run.trial, dict(run.metrics), dict(run.config))
        return run.to_dict()
