"""A sweep maps over workers, not over trials: each worker pulls trials from the ledger until there are no more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from airflow.sdk import BaseOperator, Context, TaskGroup, TriggerRule

from sailplane.errors import ConfigurationError
from sailplane.home import Home
from sailplane.hooks.wandb import tracking_settings
from sailplane.ledger import Ledger
from sailplane.operators.as_of import as_of
from sailplane.operators.job import DetachedJobOperator, run_name
from sailplane.operators.retries import USER_ERRORS_FAIL
from sailplane.operators.train import TrainModelOperator
from sailplane.records import Dataset, Run

if TYPE_CHECKING:
    from sailplane.training.compute import Precision
    from sailplane.training.specs import SweepWorkerSpec, TrainSpec

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
            task_id="create",
            model=trained.model,
            dataset=trained.dataset,
            features=trained.features,
            train=trained.train,
            config=trained.config,
            seed=trained.seed,
            precision=trained.precision,
            stream=trained.stream,
            file=file,
            trials=trials,
            workers=workers,
        )
        worked = SweepWorkerOperator.partial(
            task_id="worker", model=trained.model, map_index_template="{{ task.worker }}"
        ).expand_kwargs(created.output)
        best = BestTrialOperator(task_id="best", model=trained.model, trigger_rule=TriggerRule.ALL_DONE_MIN_ONE_SUCCESS)
        created >> worked >> best
    trained >> group
    return best.output


def sweep_id(model: str, context: Context) -> str:
    return f"{model}/{run_name(context)}"


class CreateSweepOperator(BaseOperator):
    """Puts the sweep on the ledger, and at W&B where there is a key; returns one `{worker: name}` for each worker.

    The sweep belongs to the DAG run: a retry or a clear finds the trials that are done and goes on.
    """

    template_fields: Sequence[str] = ("dataset", "config", "file", "trials", "workers")

    def __init__(
        self,
        *,
        model: str,
        dataset: Any,
        features: str,
        train: str,
        config: Mapping[str, Any],
        seed: int,
        precision: Precision,
        stream: bool,
        file: str,
        trials: int | str,
        workers: int | str,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{"retry_policy": USER_ERRORS_FAIL, **kwargs})
        self.model = model
        self.dataset = dataset
        self.features = features
        self.train = train
        self.config = config
        self.seed = seed
        self.precision = precision
        self.stream = stream
        self.file = file
        self.trials = trials
        self.workers = workers

    def execute(self, context: Context) -> list[dict[str, str]]:
        from sailplane.sweeps.original import original
        from sailplane.sweeps.queue import create_sweep
        from sailplane.sweeps.space import read_sweep
        from sailplane.tracking import sweeps

        home = Home.find()
        file, ledger, name = home.project / self.file, Ledger.at(home), sweep_id(self.model, context)
        config = read_sweep(file, run_cap=int(self.trials) or None)
        create_sweep(ledger, name, config, seed=self.seed, job=self._job(name, context).to_dict())
        document = original(file, config, name)
        sweeps.create(ledger, name, project=self.model, document=document, settings=tracking_settings())
        workers = int(self.workers) or config.workers or DEFAULT_WORKERS
        return [{"worker": f"worker {n}"} for n in range(1, workers + 1)]

    def _job(self, name: str, context: Context) -> SweepWorkerSpec:
        from sailplane.training.specs import SweepWorkerSpec

        return SweepWorkerSpec(
            sweep=name,
            worker="",
            model=self.model,
            dataset=Dataset.from_dict(self.dataset),
            as_of=as_of(context),
            features=self.features,
            train=self.train,
            config=self.config,
            precision=self.precision,
            stream=self.stream,
        )


class SweepWorkerOperator(DetachedJobOperator):
    """Trains trials in a process of its own until the sweep has no more; returns how many it trained.

    A retry goes on with the trials that are left. A trial that fails is recorded with its reason, and the next goes on.
    To mark it as success, or as failed, ends it at once; the trial that it was at is given to another worker. To mark
    all of them as success ends the sweep, with the best so far.
    """

    template_fields: Sequence[str] = ("worker",)

    def __init__(self, *, worker: str, model: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.worker = worker
        self.model = model

    def specification(self, context: Context) -> SweepWorkerSpec:
        return replace(_spec(sweep_id(self.model, context)), worker=self.worker)


class BestTrialOperator(DetachedJobOperator):
    """Ends the sweep, if it has not ended, and returns the best trial's `Run`. Fails, with each trial's reason, if none
    finished.

    The model of a trial that a worker elsewhere finished is made here, from its last checkpoint on: what comes over the
    network is taken as data only. Without a checkpoint it is trained again.
    """

    def __init__(self, *, model: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.model = model

    def execute(self, context: Context) -> dict[str, Any]:
        from sailplane.sweeps.queue import close
        from sailplane.sweeps.results import best_trial

        ledger, name = Ledger.at(Home.find()), sweep_id(self.model, context)
        # Its workers have: they were marked as success, perhaps, while others elsewhere are at work.
        close(ledger, name, f"the task {self.task_id} was reached")
        trial = best_trial(ledger, name)
        run = trial.run or self._made(context)
        self.log.info("Best: trial %s, %s with %s", run.trial, dict(run.metrics), dict(run.config))
        return run.to_dict()

    def _made(self, context: Context) -> Run:
        from sailplane.sweeps.queue import adopt

        run = Run.from_dict(self.execute_resumable(context))
        adopt(Ledger.at(Home.find()), run)
        return run

    def specification(self, context: Context) -> TrainSpec:
        from sailplane.sweeps.results import best_trial, last_step, read

        ledger, name = Ledger.at(Home.find()), sweep_id(self.model, context)
        trial = best_trial(ledger, name)
        self.log.info("Trial %s was trained elsewhere, to %s: its model is made here.", trial.number, trial.score)
        spec = _spec(name).trial(trial.number, trial.config, read(ledger, name).seed, attempt="here")
        return replace(spec, until=last_step(ledger, name, trial.number))


def _spec(sweep: str) -> SweepWorkerSpec:
    """What the trials are trained with, as `create` left it."""
    from sailplane.sweeps.results import job
    from sailplane.training.specs import SweepWorkerSpec

    found = job(Ledger.at(Home.find()), sweep)
    if found is None:
        raise ConfigurationError("find sweep", sweep, got="the ledger has none", remedy="Clear the task `create` too.")
    return SweepWorkerSpec.from_dict(found)
