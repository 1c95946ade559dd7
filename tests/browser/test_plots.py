"""A sweep's page in a real browser, without a network."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from sailplane.records import Trial
from sailplane.sweeps.importance import importances
from sailplane.sweeps.plots import page as drawn
from sailplane.sweeps.space import parse
from sailplane.sweeps.suggest import suggest

pytestmark = pytest.mark.needs("chromium")

CONFIG = parse("""\
method: random
metric: {name: "auc <b>&amp;", goal: maximize}
run_cap: 30
early_terminate: {type: hyperband, min_iter: 3}
parameters:
  learning_rate: {distribution: log_uniform_values, min: 0.0001, max: 0.1}
  dropout: {distribution: uniform, min: 0.0, max: 0.5}
  hidden: {values: [[32], [64, 64], null]}
  optimizer:
    parameters:
      name: {values: ["adam <1>", "sgd & co", true]}
""")


def trials() -> list[Trial]:
    """Thirty trials: some stopped early, some failed, and the last one is running."""
    made, draw = [], random.Random(1)
    for number in range(30):
        chosen = suggest(CONFIG, [], number, 1) or {}
        goal = 0.8 - abs(chosen["dropout"] - 0.2) / 3 + 0.04 * (chosen["optimizer"]["name"] == "sgd & co")
        count = draw.choice((3, 9, 9, 9))
        values = tuple(goal - 0.2 / (n + 1) + draw.gauss(0, 0.004) for n in range(count))
        made.append(Trial(sweep="s", number=number, config=chosen, state="finished", score=values[-1], values=values))
        if number % 9 == 5:
            made[-1] = replace(made[-1], state="failed", score=None)
    return [*made[:-1], replace(made[-1], state="running", score=None)]


def test_every_picture_of_a_sweep_is_drawn_offline(page: Page, said: list[str], tmp_path: Path) -> None:
    file, found = tmp_path / "sweep.html", trials()
    rows = [["trial", CONFIG.metric], ["3", "0.8"]]
    known = importances(CONFIG, found)
    text = drawn(
        "toy/<first>", "30 trials", CONFIG, found, leaderboard=rows, importances=known, failures={5: "no <memory>"}
    )
    file.write_text(text, encoding="utf-8")
    page.goto(file.as_uri())
    for place in ("history", "curves", "parameters", "importance"):
        expect(page.locator(f"#{place} .main-svg").first).to_be_visible()
    expect(page.locator("#history .legendtext")).to_have_text(["finished", "stopped early", "best so far", "failed"])
    finished = [trial for trial in found if trial.state == "finished"]
    expect(page.locator("#history .points path")).to_have_count(29)
    expect(page.locator("#parameters .points path")).to_have_count(len(finished))
    expect(page.locator("#importance .bars .point")).to_have_count(4)
    words = page.locator("#parameters .annotation-text").all_text_contents()
    assert {"learning_rate", "0.001", "adam <1>", "sgd & co", "true", "null", "[64, 64]", "auc <b>&amp;"} <= set(words)
    expect(page.get_by_role("heading", level=1)).to_have_text("toy/<first>")
    assert said == []
