"""The report of a run in a real browser, without a network."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from sailplane.evaluation import evaluate, library
from sailplane.evaluation.gate import Gate
from sailplane.evaluation.report import publish
from sailplane.storage import Storage
from sailplane.sweeps import lifecycle, queue
from sailplane.sweeps.space import parse
from tests.unit.evaluation.toy import Toy

pytestmark = pytest.mark.needs("chromium")

SWEEP = """\
method: random
metric: {name: validation_auc, goal: maximize}
run_cap: 12
parameters:
  learning_rate: {distribution: log_uniform_values, min: 0.0001, max: 0.1}
  hidden: {values: [[32], [64, 64]]}
"""
FIGURES = ("slices-0", "slices-1", "calibration", "thresholds", "importance", "curve-0", "sweep", "parameters")
PHONE = {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report with all possible parts: a champion, slices, costs, a history and a sweep."""
    toy = Toy.at(tmp_path_factory.mktemp("report"))
    lifecycle.create(toy.ledger, "toy/s", parse(SWEEP))
    for number in range(12):
        trial = queue.ask(toy.ledger, "toy/s", "w")
        assert trial
        queue.finish(toy.ledger, trial, "w", 0.7 + math.sin(number) / 20)
    history = [{"step": n, "loss": 1 / n, "validation_auc": 1 - 0.4 / n} for n in range(1, 30)]
    toy.storage.put("runs/new/history.json", json.dumps(history).encode())
    run = toy.train(
        "new", [[1.0], [-1.4]], sweep="toy/s", trial=3, config={"learning_rate": 0.0123, "hidden": [64, 64]}
    )
    gate = Gate(
        confidence=0.95,
        slices={"colour": 0.02, "time:hour": 0.05},
        min_slice_rows=20,
        costs={"false_positive": 1.0, "false_negative": 3.0},
        max_latency_ms=100,
    )
    champion = toy.registered(replace(toy.train("champion", [[1.0], [-0.2]])))
    evaluation = evaluate(
        toy.storage, run=run, baseline=toy.train("b", [[0.2], [0.3]]).bundle, champion=champion, gate=gate
    )
    publish(toy.storage, toy.ledger, evaluation)
    return toy.folder / "store/runs/new/report.html"


@pytest.fixture(params=["stored", "saved"])
def opened(request: pytest.FixtureRequest, report: Path, tmp_path: Path) -> Path:
    """Opens the stored page next to its library, and the single file that the UI sends, in a separate folder."""
    if request.param == "stored":
        return report
    store = report.parents[2]
    (tmp_path / "saved.html").write_text(library.inlined(Storage(store.as_uri()), report.read_text()))
    return tmp_path / "saved.html"


def test_every_picture_of_a_report_is_drawn_offline(page: Page, said: list[str], opened: Path) -> None:
    page.goto(opened.as_uri())
    for place in FIGURES:
        expect(page.locator(f"#{place} .main-svg").first).to_be_visible()
    expect(page.locator("#calibration .legendtext")).to_have_text(["perfect", "challenger", "champion"])
    expect(page.locator("tr.bad").first).to_be_visible()
    assert said == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_the_whole_width_by_day_and_by_night(page: Page, report: Path, scheme: str) -> None:
    page.set_viewport_size(PHONE)
    page.emulate_media(color_scheme=scheme)
    page.goto(report.as_uri())
    expect(page.locator("#importance .main-svg").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    style = "(name) => getComputedStyle(document.body)[name]"
    ink, paper = (sum(map(int, page.evaluate(style, name)[4:-1].split(","))) for name in ("color", "backgroundColor"))
    assert (ink < paper) is (scheme == "light")
    assert abs(ink - paper) > 350


def test_a_stored_page_without_its_library_says_so_in_place_of_the_pictures(
    page: Page, report: Path, tmp_path: Path
) -> None:
    (tmp_path / "report.html").write_text(report.read_text())
    page.goto((tmp_path / "report.html").as_uri())
    expect(page.locator("#calibration")).to_have_text("This copy lacks the chart library. Open the report in the UI.")
    expect(page.get_by_role("heading", name="Verdict")).to_be_visible()
