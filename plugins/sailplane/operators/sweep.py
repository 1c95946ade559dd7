"""The tasks of a sweep. It maps over workers, not trials: each worker pulls trials from the ledger until none is
left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from airflow.sdk import BaseOperator, Context, TaskGroup, TriggerRule, XComArg

from sailplane import pairing
from sailplane.errors import ConfigurationError
from sailplane.home import Home
from sailplane.hooks.wandb import tracking_settings
from sailplane.ledger import Ledger
from sailplane.operators.as_of import as_of
from sailplane.operators.pins import pin_code, use_pinned
from sailplane.operators.retries import USER_ERRORS_FAIL
from sailplane.operators.sweep_names import DEFAULT_GROUP, found_sweep, next_sweep
from sailplane.operators.train import TrainModelOperator
from sailplane.operators.trials import BestTrialOperator, SweepWorkerOperator
from sailplane.operators.xcom import XComOf
from sailplane.records import Dataset, Run

if TYPE_CHECKING:
    from sailplane.sweeps.file import SweepFile
    from sailplane.sweeps.space import SweepConfig
    from sailplane.training.compute import Precision
    from sailplane.training.specs import SweepWorkerSpec

DEFAULT_WORKERS: Final = 2


def sweep(
    trained: TrainModelOperator,
    file: str,
    *,
    trials: int | str = 0,
    workers: int | str = 0,
    group_id: str = DEFAULT_GROUP,
) -> XComArg:
    """A task group `create >> worker (mapped) >> best` that searches for the best configuration of a train step.

    :param trained: the train step whose dataset, features and train function the trials use
    :param file: a W&B sweep file, relative to the project
    :param trials: the most trials; a smaller `run_cap` in the file takes precedence. 0 for the number in the file
    :param workers: the number of workers; 0 for the number in the file, else two
    :param group_id: the name of the task group, and part of the sweep's name. A second sweep in a DAG needs another
        name
    :returns: the best trial's `Run`, as XCom
    :raises SweepFileError: in the task `create`, for an invalid file, with the line
    :raises TrainingError: in the task `best`, if no trial finished, with each trial's reason

    Example::

        best = sweep(train, "include/churn/sweep.yaml", trials=8, workers=2)
    """
    with TaskGroup(group_id) as group:
        created = CreateSweepOperator(
            task_id="create",
            model=trained.model,
            trained=trained.output,
            train_step=trained.task_id,
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


class CreateSweepOperator(BaseOperator):
    """Puts the sweep on the ledger, and at W&B if there is a key: the task `create` of `sweep`.

    The sweep belongs to the DAG run. Its trials use the data, the code and the configuration of that run's train step.
    A retry or a clear keeps the finished trials and continues. If the train step or the sweep file has changed since, a
    new sweep starts, and the old trials do not count.

    :param model: name of the model
    :param trained: the `Run` that the train step returned
    :param train_step: the task id of the train step
    :param dataset: the `Dataset` of the train step
    :param features: the feature module of the train step
    :param train: the train function of the train step
    :param config: the configuration, parts of which a trial overrides
    :param seed: the sweep's seed, unless the file has one
    :param precision: the precision of the train step
    :param stream: whether the train step streams its rows
    :param file: a W&B sweep file, relative to the project
    :param trials: the most trials; 0 for the number in the file
    :param workers: the number of workers; 0 for the number in the file, else two
    :returns: a list with one `{"worker": NAME}` for each worker
    :raises SweepFileError: for an invalid file, with the line
    :raises ConfigurationError: for a number of trials or workers below 0
    """

    template_fields: Sequence[str] = ("trained", "dataset", "config", "file", "trials", "workers")

    def __init__(
        self,
        *,
        model: str,
        trained: XComOf[Run] | None = None,
        train_step: str = "train",
        dataset: XComOf[Dataset],
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
        self.trained: Any = trained
        self.train_step = train_step
        self.dataset: Any = dataset
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
        from sailplane.sweeps import lifecycle
        from sailplane.sweeps.file import SweepFile
        from sailplane.tracking import sweeps

        ledger = pairing.ledger(Home.find())
        folder, spec = self._code(ledger, context)
        file = SweepFile.read(self._sweep_file(folder, context))
        config = file.limited(_count("trials", self.trials))
        workers = _count("workers", self.workers) or config.workers or DEFAULT_WORKERS
        self._log_settings(file, config)
        name = self._name(ledger, config, spec, context)
        lifecycle.create(ledger, name, config, seed=self.seed, job=replace(spec, sweep=name).to_dict())
        document = file.for_wandb(config, name)
        sweeps.create(ledger, name, project=self.model, document=document, settings=tracking_settings())
        return [{"worker": f"worker {n}"} for n in range(1, workers + 1)]

    def _sweep_file(self, folder: Path, context: Context) -> Path:
        """The run's own version of the file; after a clear the current version, which may have been fixed."""
        own, now = folder / self.file, Home.find().project / self.file
        cleared = context["ti"].max_tries > (self.retries or 0)
        return now if cleared or not own.exists() else own

    def _log_settings(self, file: SweepFile, config: SweepConfig) -> None:
        """Logs which settings of the file apply and which do not."""
        for note in file.notes():
            self.log.warning("%s", note)
        requested, cap = _count("trials", self.trials), file.config.run_cap
        if config.size is not None:
            given = f"the file's run_cap is {cap or 'not given'}, the DAG's trials {requested or 'not given'}"
            self.log.info("At most %d trials: %s", config.size, given)

    def _code(self, ledger: Ledger, context: Context) -> tuple[Path, SweepWorkerSpec]:
        """The folder of the train step's code, and the specification of the trials."""
        from sailplane.registry.pins import pinned
        from sailplane.registry.sources import collect

        ti = context["ti"]
        digest = pinned(ledger, ti.dag_id, ti.run_id, self.train_step) or pin_code(self, context)
        folder = use_pinned(self, digest)
        spec = self._job(context, digest)
        return folder, replace(spec, sources=collect(folder, (spec.features, spec.train)).digest)

    def _name(self, ledger: Ledger, config: SweepConfig, spec: SweepWorkerSpec, context: Context) -> str:
        """The name of the sweep to continue, or of a new one if the old trials are not comparable."""
        from sailplane.sweeps import lifecycle
        from sailplane.sweeps.results import unlike
        from sailplane.tracking import sweeps

        current = found_sweep(ledger, self.model, context)
        differing = unlike(ledger, current, config, self.seed if config.seed is None else config.seed, spec.to_dict())
        if not differing:
            return current
        lifecycle.stop(ledger, current, f"the run was cleared with another {' and '.join(differing)}")
        sweeps.finish(ledger, current)
        name = next_sweep(ledger, self.model, context)
        changed = (
            f"The {' and '.join(differing)} changed since the trials of {current}, so they do not count; {name} starts."
        )
        self.log.warning("%s", changed)
        context["ti"].xcom_push(key="code", value=changed)
        return name

    def _job(self, context: Context, digest: str) -> SweepWorkerSpec:
        from sailplane.training.specs import SweepWorkerSpec

        # The DAG file may have changed since the train step ran.
        trained = Run.from_dict(self.trained) if self.trained else None
        return SweepWorkerSpec(
            dag=context["ti"].dag_id,
            code=digest,
            sweep="",
            worker="",
            model=self.model,
            dataset=trained.dataset if trained else Dataset.from_dict(self.dataset),
            as_of=trained.as_of if trained else as_of(context),
            features=(trained and trained.features) or self.features,
            train=(trained and trained.train) or self.train,
            config=trained.config if trained else self.config,
            precision=cast("Precision", trained.precision) if trained else self.precision,
            stream=trained.stream if trained else self.stream,
        )


def _count(name: str, value: int | str | None) -> int:
    """Parses a number; 0 if a template rendered an empty field of the trigger form."""
    if value in (None, "", "None"):
        return 0
    try:
        count = int(value or 0)
    except ValueError:
        count = -1
    if count < 0:
        raise ConfigurationError("read", name, got=repr(value), expected="a whole number, 0 for the default")
    return count
