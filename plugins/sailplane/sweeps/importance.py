"""Which parameters a sweep's scores depend on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from optuna.importance import FanovaImportanceEvaluator, get_param_importances
from optuna.samplers import RandomSampler

from sailplane.records import Trial
from sailplane.sweeps.space import SweepConfig
from sailplane.sweeps.study import Study

# Fewer tell nothing.
FEWEST: Final = 4


def importances(config: SweepConfig, trials: Sequence[Trial]) -> dict[str, float]:
    """The share of the scores' variance that each parameter explains (functional ANOVA: Hutter et al., 2014), the
    largest first; nothing where too few trials finished, or all scores are equal."""
    finished = [trial for trial in trials if trial.state == "finished"]
    if len(finished) < FEWEST or len({trial.score for trial in finished}) < 2:
        return {}
    study = Study(config, finished, RandomSampler(seed=0)).optuna
    found = get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=0))
    return {name: float(share) for name, share in found.items()}
