from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from airflow.sdk import BaseOperator, Context

from sailplane.errors import ConfigurationError
from sailplane.evaluation.gate import Gate
from sailplane.hooks.storage import opened
from sailplane.operators.as_of import is_backfill, run_of
from sailplane.operators.links import ReportLink
from sailplane.operators.retries import USER_ERRORS_FAIL
from sailplane.operators.xcom import XComOf
from sailplane.records import Run


class EvaluateModelOperator(BaseOperator):
    """Judges a run on the last days before the as-of, which neither training nor the sweep used.

    Challenger, baseline and the champion that serves now are scored on the same rows. A verdict against the challenger
    is a result, not a failure. If the baseline is better and passes the gate itself, the verdict offers the baseline. A
    retry judges again and gives the same verdict, which the ledger keeps once. Even after a clear, each day counts with
    the gain of the run's first model, unless the data or the code changed. All figures are in the run's folder of the
    store, as evaluation.json and as the page that the task's link `Report` opens.

    :param challenger: the `Run` to judge, from `train` or `sweep`
    :param baseline: the `Run` of the train step, whose baseline the gate compares with
    :param gate: the conditions that a model must meet; None for `Gate()`
    :returns: an `Evaluation`
    :raises ConfigurationError: if `gate` is not a `Gate`, or names a column that the dataset lacks
    :raises DataError: if the test window has no rows with labels, or rows of only one class
    :raises ModelError: if the champion cannot be scored

    Example::

        EvaluateModelOperator(task_id="evaluate", challenger=best, baseline=train.output, gate=Gate(confidence=0.95))
    """

    template_fields: Sequence[str] = ("challenger", "baseline")
    operator_extra_links = (ReportLink(),)

    def __init__(
        self, *, challenger: XComOf[Run], baseline: XComOf[Run], gate: Gate | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**{"retry_policy": USER_ERRORS_FAIL, **kwargs})
        self.challenger: Any = challenger
        self.baseline: Any = baseline
        self.gate = Gate() if gate is None else gate
        if not isinstance(self.gate, Gate):
            raise ConfigurationError("read the gate of", self.task_id, got=repr(gate), expected="Gate(...)")

    def execute(self, context: Context) -> dict[str, Any]:
        from sailplane.evaluation import evaluate
        from sailplane.evaluation.history import Judged, counted_gains, first_gains, keep
        from sailplane.evaluation.report import publish
        from sailplane.registry import holds
        from sailplane.registry.models import alias

        ledger, storage = opened()
        challenger, identity = Run.from_dict(self.challenger), run_of(context)
        trained = Run.from_dict(self.baseline)
        champion, metric = alias(ledger, challenger.model, "champion"), self.gate.metric
        dag_run = {name: identity[name] for name in ("dag", "dag_run")}
        evaluation = evaluate(
            storage,
            run=challenger,
            baseline=trained.baseline,
            # A backfill deploys nothing, so it offers nothing.
            baseline_of=None if is_backfill(context) else trained,
            champion=champion,
            gate=self.gate,
            past=counted_gains(ledger, champion, metric, as_of=challenger.as_of, **dag_run),
            first=first_gains(ledger, champion, metric, challenger, **dag_run),
        )
        if (hold := holds.find(ledger, challenger.model)) and not is_backfill(context):
            evaluation = replace(evaluation, held=hold.message)
        evaluation = publish(storage, ledger, evaluation)
        self.log.info("Verdict: %s", "passed" if evaluation.passed else "not passed")
        for reason in evaluation.reasons:
            self.log.info("- %s", reason)
        if evaluation.held:
            self.log.info("%s", evaluation.held)
        keep(ledger, Judged(evaluation=evaluation, gate=asdict(self.gate), **identity), storage)
        return evaluation.to_dict()
