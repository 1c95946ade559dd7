from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from airflow.sdk import BaseOperator, Context

from sailplane.home import Home
from sailplane.hooks.storage import SailplaneStorageHook
from sailplane.ledger import Ledger
from sailplane.operators.retries import USER_ERRORS_FAIL
from sailplane.records import Run


class EvaluateModelOperator(BaseOperator):
    """Judges a run on the days before the as-of that neither training nor the sweep looked at; returns an `Evaluation`.

    Challenger, baseline and the champion that is served now are scored on the same rows. A verdict against the
    challenger is a result, not a failure. A retry judges again and gives the same verdict.

    :param challenger: the run to judge (a `Run` as `train` or `sweep` returns it)
    :param baseline: the run whose baseline is the yardstick
    :param minimum: the AUC that a model must reach, champion or not
    """

    template_fields: Sequence[str] = ("challenger", "baseline")

    def __init__(self, *, challenger: Any, baseline: Any, minimum: float = 0.55, **kwargs: Any) -> None:
        super().__init__(**{"retry_policy": USER_ERRORS_FAIL, **kwargs})
        self.challenger: Mapping[str, Any] = challenger
        self.baseline: Mapping[str, Any] = baseline
        self.minimum = minimum

    def execute(self, context: Context) -> dict[str, Any]:
        from sailplane.evaluation import evaluate
        from sailplane.registry.models import alias

        home, challenger = Home.find(), Run.from_dict(self.challenger)
        evaluation = evaluate(
            SailplaneStorageHook().get_conn(),
            run=challenger,
            baseline=Run.from_dict(self.baseline).baseline,
            champion=alias(Ledger.at(home), challenger.model, "champion"),
            minimum=self.minimum,
        )
        self.log.info("Verdict: %s", "passed" if evaluation.passed else "not passed")
        for reason in evaluation.reasons:
            self.log.info("- %s", reason)
        return evaluation.to_dict()
