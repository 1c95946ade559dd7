"""How often the gate promotes an equal model if it looks every day at overlapping windows, and how soon it promotes a
better one. Rows, metrics, evidence and rules are those of an evaluation."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta

import numpy as np
import pytest

from sailplane.evaluation.daily import DailyEvidence
from sailplane.evaluation.gate import Gate
from sailplane.evaluation.history import merge_gains
from tests.unit.evaluation.looks import (
    LOOKS,
    WINDOW,
    Pipeline,
    promoted_by_evidence,
    promoted_by_gain,
    promoted_by_window,
)

GATE = Gate(confidence=0.95)
ROWS = 100


@pytest.mark.parametrize(
    ("rule", "promoted", "draws", "claim", "least", "most"),
    [
        ("evidence of all days", promoted_by_evidence, 600, "at most 5%", 0.0, 0.05),
        ("interval of each window", promoted_by_window, 200, "more", 0.15, 1.0),
        ("gain of each window", promoted_by_gain, 200, "more", 0.5, 1.0),
    ],
)
def test_an_equal_model_is_promoted_within_24_daily_looks(
    rule: str,
    promoted: Callable[[Gate, Pipeline], int | None],
    draws: int,
    claim: str,
    least: float,
    most: float,
) -> None:
    random = np.random.default_rng(1)
    found = [promoted(GATE, Pipeline.draw(random, rows=ROWS)) is not None for _ in range(draws)]
    share = sum(found) / draws
    print(f"equal models promoted within {LOOKS} daily looks by the {rule}: {claim} | {share:.1%} | {draws}")
    assert least <= share <= most


@pytest.mark.parametrize(("noise", "by"), [(1.0, 12), (2.0, 4)])
def test_a_better_model_is_promoted_within_days(noise: float, by: int) -> None:
    random, draws = np.random.default_rng(2), 200
    looks = [promoted_by_evidence(GATE, Pipeline.draw(random, rows=ROWS, noise=noise)) or 999 for _ in range(draws)]
    median, most_of_them = np.quantile(looks, [0.5, 0.8])
    told = f"looks until a model is promoted whose champion has {noise / 0.5:g} times its noise: median at most {by}"
    print(f"{told} | median {median:.0f}, 80% within {most_of_them:.0f} | {draws}")
    assert median <= by


def test_equal_models_that_are_trained_anew_each_day_take_over_rarely_in_a_year() -> None:
    """A new champion was chosen by days that the next evaluation counts too."""
    random, years, found = np.random.default_rng(3), 200, 0
    names = [f"{date(2026, 1, 1) + timedelta(days=day)}" for day in range(365 + WINDOW)]
    for _ in range(years):
        models = random.normal(size=(366, len(names)))
        champion, past = 365, dict[str, float]()
        for look in range(365):
            window = range(look, look + WINDOW)
            past = merge_gains([past, {names[day]: models[look, day] - models[champion, day] for day in window}])
            daily = DailyEvidence.of(GATE, past)
            better = models[look, window].mean() > models[champion, window].mean()
            if daily and daily.enough and better:
                champion, past, found = look, {}, found + 1
    print(f"false promotions a year, models trained each day: at most 0.053 | {found / years:.3f} | {years} years")
    assert found / years <= 0.08
