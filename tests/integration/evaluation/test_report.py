from __future__ import annotations

import json
import re
from base64 import b64encode
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from html.parser import HTMLParser
from types import SimpleNamespace
from typing import Any

import pytest
from plotly.graph_objects import Figure

from sailplane.evaluation import evaluate, library
from sailplane.evaluation.details import report_link
from sailplane.evaluation.gate import Gate
from sailplane.evaluation.report import publish
from sailplane.operators import EvaluateModelOperator
from sailplane.records import Evaluation, Run
from sailplane.registry import holds
from sailplane.sweeps import lifecycle, queue
from sailplane.sweeps.space import parse
from tests.one_training import REPORT_BYTES
from tests.unit.evaluation.toy import Toy

SWEEP = """\
method: random
metric: {name: "score <i>", goal: maximize}
run_cap: 4
parameters: {rate: {min: 0.0, max: 1.0}}
"""
GATE = Gate(
    slices={"colour": 0.1, "time:hour": 0.1}, min_slice_rows=20, costs={"false_positive": 1.0, "false_negative": 3.0}
)


class Read(HTMLParser):
    """Reads the page as a browser does: the text, the scripts, the tables, and the page's policy for scripts."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.scripts: list[str] = []
        self.figures: dict[str, Any] = {}
        self.policy, self.words = "", ""
        self.cells: list[str] = []
        self.tags: set[str] = set()
        self._inside: dict[str, Any] = {}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._inside = {"tag": tag, **dict(attrs)}
        self.tags.add(tag)
        if self._inside.get("http-equiv") == "Content-Security-Policy":
            self.policy = str(self._inside["content"])

    def handle_endtag(self, _tag: str) -> None:
        self._inside = {}

    def handle_data(self, data: str) -> None:
        if self._inside.get("type") == "application/json":
            self.figures = json.loads(data)
        elif self._inside.get("tag") == "script":
            self.scripts.append(data)
        elif self._inside.get("tag") == "td":
            self.cells.append(data)
        elif self._inside.get("tag") != "style":
            self.words += data


def published(toy: Toy, run: Run, gate: Gate = GATE, **contenders: Any) -> Read:
    evaluation = publish(toy.storage, toy.ledger, evaluate(toy.storage, run=run, gate=gate, **contenders))
    assert evaluation.report == toy.storage.uri(f"runs/{run.id}/report.html")
    return Read(whole(toy, run.id))


def whole(toy: Toy, run: str) -> str:
    """Returns the page as a browser gets it."""
    return library.inlined(toy.storage, toy.storage.get(f"runs/{run}/report.html").decode())


def swept(toy: Toy, sweep: str) -> None:
    lifecycle.create(toy.ledger, sweep, parse(SWEEP))
    for score in (0.6, 0.8, None):
        trial = queue.ask(toy.ledger, sweep, "w")
        assert trial
        if score:
            queue.finish(toy.ledger, trial, "w", score)
        else:
            queue.fail(toy.ledger, trial, "w", "no <memory>")


def test_the_report_shows_each_rule_with_what_it_got_and_expected(toy: Toy) -> None:
    champion = toy.registered(toy.train("champion", [[1.0], [0.0]]))
    page = published(toy, toy.train("new", [[1.0], [-2.0]]), champion=champion)
    assert "The gate rejected it: nothing new is deployed." in page.words
    assert f"Compared with the champion {champion.version}." in page.words
    assert {"minimum", "champion", "slices of colour", "slices of time:hour", "serves"} <= set(page.cells)
    assert any(cell.startswith("red (") and "2 of 3 values judged, each at level 0.00" in cell for cell in page.cells)
    assert any(
        re.fullmatch(r"would pass with a gain of [+-]0\.\d{4} or more in red.*spread", cell) for cell in page.cells
    )
    assert any(re.fullmatch(r"0\.\d{4} \(0\.\d{4}\sto\s0\.\d{4}\)", cell) for cell in page.cells), "an interval"


def test_a_first_run_without_history_or_sweep_has_a_report_without_them(toy: Toy) -> None:
    page = published(toy, toy.train("new", [[1.0], [0.0]]), gate=Gate())
    assert "The gate passed it." in page.words
    assert set(page.figures) == {"calibration", "thresholds", "importance"}
    assert "Sweep" not in page.words
    assert "Training" not in page.words.replace("Data and training", "")


def test_every_picture_is_one_that_plotly_takes(toy: Toy) -> None:
    swept(toy, "toy/s")
    history = [{"step": 1, "loss": 0.7, "auc": 0.5, "best": True}, {"step": 2, "loss": float("nan"), "auc": 0.6}]
    history += [{"no step": 0.5}]
    toy.storage.put("runs/new/history.json", json.dumps(history).encode())
    champion = toy.registered(toy.train("champion", [[0.5], [0.5]]))
    page = published(toy, toy.train("new", [[1.0], [0.0]], sweep="toy/s", trial=1), champion=champion)
    expected = {"slices-0", "slices-1", "calibration", "thresholds", "importance", "curve-0", "curve-1", "sweep"}
    assert set(page.figures) == {*expected, "parameters"}
    for figure in page.figures.values():
        Figure(figure)  # Plotly raises an error for anything that it does not know.
    assert page.figures["curve-0"]["data"][0]["x"] == [1], "no number, no point"
    assert "2 of 3 trials finished, to maximize score <i>. The challenger is trial 1." in page.words


def test_a_long_history_is_drawn_with_fewer_points(toy: Toy) -> None:
    history = [{"step": step, "loss": 1 / step} for step in range(1, 2501)]
    toy.storage.put("runs/new/history.json", json.dumps(history).encode())
    [line] = published(toy, toy.train("new")).figures["curve-0"]["data"]
    assert line["x"] == list(range(1, 2501, 3))
    assert line["y"][1] == 1 / 4


def test_what_the_report_says_of_the_data_is_what_the_run_says(toy: Toy) -> None:
    page = published(toy, toy.train("new", config={"rate": 0.1}, seed=7, seconds=12.34))
    said = dict(zip(page.cells, page.cells[1:], strict=False))
    assert said["dataset"] == f"toy {toy.dataset.version}"
    assert said["rows"] == f"{28 * 144:,}, and 0 in quarantine"
    assert (said["trained on"], said["judged on"]) == (
        "2026-02-01..2026-02-15",
        "2026-02-22..2026-03-01: 907 rows with a label",
    )
    assert (said["configuration"], said["seed"], said["training took"]) == ('{"rate": 0.1}', "7", "12.3 s")


def test_a_sweep_whose_rungs_rank_trials_otherwise_than_the_end_is_shown_with_a_warning(toy: Toy) -> None:
    """The better a trial ended, the worse it started. The last one was stopped."""
    rule = "early_terminate: {type: hyperband, min_iter: 1}\n"
    lifecycle.create(toy.ledger, "toy/s", parse(SWEEP.replace("run_cap: 4", "run_cap: 7") + rule))
    for number in range(7):
        trial = queue.ask(toy.ledger, "toy/s", "w")
        assert trial
        for step, score in enumerate([-number, number][: 1 if number == 6 else 2]):
            queue.report(toy.ledger, trial, "w", step, float(score))
        queue.finish(toy.ledger, trial, "w", float(number))
    page = published(toy, toy.train("new", sweep="toy/s", trial=1))
    told = "After 1 value trial ranks correlate weakly with the final ranks: -1.00 (Spearman, 6 full trials"
    assert told in page.words


def test_a_sweep_that_was_forgotten_is_left_out(toy: Toy) -> None:
    page = published(toy, toy.train("new", sweep="toy/gone", trial=1))
    assert "sweep" not in page.figures


def test_nothing_that_comes_from_data_is_read_as_html(toy: Toy) -> None:
    nasty = "</script><img src=x onerror=alert(1)>"
    toy.storage.put("runs/new/history.json", json.dumps([{"step": 1, nasty: 0.5}]).encode())
    page = published(toy, toy.train("new", config={"note": nasty}))
    assert "img" not in page.tags
    assert len(page.scripts) == 2
    assert f'{{"note": "{nasty}"}}' in page.cells
    assert "<img" not in json.dumps(page.figures), "Plotly reads some HTML in its labels"


def test_a_browser_may_run_the_pages_own_scripts_and_ask_no_one(toy: Toy) -> None:
    page = published(toy, toy.train("new"))
    policy = dict(part.split(" ", 1) for part in page.policy.split("; "))
    own = {f"'sha256-{b64encode(sha256(script.encode()).digest()).decode()}'" for script in page.scripts}
    assert set(policy["script-src"].split()) == own
    assert policy["default-src"] == "'none'"
    text = whole(toy, "new")
    for script in page.scripts:
        text = text.replace(script, "")
    assert "http" not in text.replace("http-equiv", "")


def test_reports_share_one_copy_of_the_chart_library(toy: Toy) -> None:
    for name in ("first", "second", "third"):
        published(toy, toy.train(name))
    sizes = [entry.size for entry in toy.storage.entries("runs") if entry.path.endswith("report.html")]
    assert len(sizes) == 3
    assert max(sizes) < REPORT_BYTES
    assert len(toy.storage.list(library.FOLDER)) == 1


def test_a_lost_library_is_put_back_by_the_next_report_and_missed_by_none(toy: Toy) -> None:
    page = published(toy, toy.train("first"))
    [path] = toy.storage.list(library.FOLDER)
    toy.storage.delete(path)
    assert Read(whole(toy, "first")).scripts == page.scripts
    published(toy, toy.train("second"))
    assert toy.storage.list(library.FOLDER) == [path]


def test_a_second_judgement_takes_the_place_of_the_first(toy: Toy) -> None:
    run = toy.train("new", [[1.0], [0.0]])
    assert "The gate passed it." in published(toy, run).words
    words = published(toy, run, gate=Gate(minimum=0.99)).words
    assert "The gate rejected it" in words
    assert "There is no champion yet." in words
    run = toy.beside("both", [[1.0], [0.0]], [[0.9], [0.1]])
    words = published(toy, run, baseline=run.baseline).words
    assert "Compared with the baseline. There is no champion yet." in words


def test_a_link_to_a_report_has_the_runs_name_in_a_path() -> None:
    assert report_link("toy/manual__2026 #1/train") == "/sailplane/reports/toy/manual__2026%20%231/train/report.html"


def test_the_report_of_a_run_that_was_judged_while_a_rollback_held_the_model_says_so(
    toy: Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The report of a later run does not say so once the hold is lifted. Nor does a backfill's, which never deploys."""
    run = toy.train("new", [[1.0], [0.0]])
    monkeypatch.setattr("sailplane.operators.evaluate.opened", lambda: (toy.ledger, toy.storage))
    operator = EvaluateModelOperator(
        task_id="evaluate", challenger=run.to_dict(), baseline=replace(run, baseline=run.bundle).to_dict()
    )

    def judged(run_type: str = "manual") -> str | None:
        day = datetime(2026, 11, 20, tzinfo=UTC)
        ti = SimpleNamespace(dag_id="toy", run_id="r")
        times = {"data_interval_start": day, "data_interval_end": day}
        given = {"ti": ti, "dag_run": SimpleNamespace(run_type=run_type, run_after=day, **times), "params": {}, **times}
        return Evaluation.from_dict(operator.execute(given)).held  # type: ignore[arg-type]

    said = "when ada rolled back v2 to v1. `sailplane release toy`, or the approval of a model, lifts the hold."
    with toy.ledger.begin() as connection:
        holds.hold_within(connection, holds.Hold(run.model, 0.0, "ada", "v2", "v1"))
    assert str(judged()).endswith(said)
    assert said in Read(whole(toy, run.id)).words
    assert judged("backfill") is None
    with toy.ledger.begin() as connection:
        connection.exec_driver_sql("DELETE FROM holds")
    assert judged() is None
    assert "on hold" not in Read(whole(toy, run.id)).words
