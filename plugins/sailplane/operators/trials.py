"""The tasks that train the trials of a sweep, and the task that chooses the best trial."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow.sdk import Context

from sailplane import pairing
from sailplane.errors import ConfigurationError
from sailplane.home import Home
from sailplane.operators.job import DetachedJobOperator
from sailplane.operators.sweep_names import found_sweep
from sailplane.records import Run

if TYPE_CHECKING:
    from sailplane.training.specs import SweepWorkerSpec, TrainSpec


class SweepWorkerOperator(DetachedJobOperator):
    """Trains trials in a separate process until the sweep has no more: the mapped task `worker` of `sweep`.

    A retry continues with the remaining trials. A failed trial is recorded with its reason, and the worker continues
    with the next one. Marking the task as success or failed ends it immediately, and another worker gets its trial.
    Marking all workers as success ends the sweep with the best trial so far.

    :param worker: the worker's name on the ledger
    :param model: name of the model
    :returns: the number of trials that it trained
    :raises ConfigurationError: if the ledger has no such sweep
    :raises JobError: if the process was killed; a retry continues with the remaining trials
    """

    template_fields: Sequence[str] = ("worker",)

    def __init__(self, *, worker: str, model: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.worker = worker
        self.model = model

    def specification(self, context: Context) -> SweepWorkerSpec:
        return replace(_spec(found_sweep(pairing.ledger(Home.find()), self.model, context)), worker=self.worker)


class BestTrialOperator(DetachedJobOperator):
    """Ends the sweep, if it has not ended, and chooses the best trial: the task `best` of `sweep`.

    If a remote worker finished the trial, this task creates its model from the last checkpoint, because uploads are
    only read as data. Without a checkpoint, the trial is trained again.

    :param model: name of the model
    :returns: the best trial's `Run`
    :raises TrainingError: if no trial finished, with the reason of each
    """

    def __init__(self, *, model: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.model = model

    def execute(self, context: Context) -> dict[str, Any]:
        from sailplane.sweeps.lifecycle import close
        from sailplane.sweeps.results import best_trial

        ledger = pairing.ledger(Home.find())
        name = found_sweep(ledger, self.model, context)
        # The sweep's tasks have ended, but remote workers may still train.
        close(ledger, name, f"the task {self.task_id} was reached")
        trial = best_trial(ledger, name)
        run = trial.run or self._made(context)
        self.log.info("Best: trial %s, %s with %s", run.trial, dict(run.metrics), dict(run.config))
        return run.to_dict()

    def _made(self, context: Context) -> Run:
        from sailplane.sweeps.queue import adopt

        run = Run.from_dict(self.execute_resumable(context))
        adopt(pairing.ledger(Home.find()), run)
        return run

    def specification(self, context: Context) -> TrainSpec:
        from sailplane.sweeps.results import best_trial, last_step, read

        ledger = pairing.ledger(Home.find())
        name = found_sweep(ledger, self.model, context)
        trial = best_trial(ledger, name)
        self.log.info(
            "A remote worker trained trial %s, with a score of %s; this task creates its model.",
            trial.number,
            trial.score,
        )
        spec = _spec(name).trial(trial.number, trial.config, read(ledger, name).seed, attempt="here")
        return replace(spec, until=last_step(ledger, name, trial.number))


def _spec(sweep: str) -> SweepWorkerSpec:
    """The specification of the trials, which the task `create` wrote."""
    from sailplane.sweeps.results import job
    from sailplane.training.specs import SweepWorkerSpec

    found = job(pairing.ledger(Home.find()), sweep)
    if found is None:
        raise ConfigurationError("find sweep", sweep, got="the ledger has none", remedy="Clear the task `create` too.")
    return SweepWorkerSpec.from_dict(found)
