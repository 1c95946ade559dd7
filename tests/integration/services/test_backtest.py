"""`sailplane backtest`, as a user calls it, over existing verdicts. The end-to-end tests cover the part that needs
Airflow."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from sailplane.datasets import ingest
from sailplane.evaluation.gate import Gate
from sailplane.evaluation.history import keep, verdicts
from sailplane.home import Home
from sailplane.ledger import Ledger
from sailplane.records import Interval
from sailplane.storage import Storage
from tests.integration.evaluation.past import DAY, FIRST, SCHEMA, extract, judged
from tests.unit.commands.test_cli import sailplane

# An empty project.
from tests.unit.services.conftest import home  # noqa: F401

RANGE = ("--from", "2026-10-01", "--to", "2026-10-03")


@pytest.fixture
def past(home: Home, tmp_path: Path) -> Home:  # noqa: F811
    """Verdicts of four days of October; the second day's model is the best."""
    ledger, storage = Ledger.create(home.ledger), Storage(home.store)
    for number, noise in enumerate((1.0, 0.2, 2.0, 0.0)):
        keep(ledger, judged(storage, tmp_path / "bundles", number, noise))
    return home


def test_the_table_has_a_line_a_day_and_the_end_sums_it_up(past: Home) -> None:
    ended = sailplane(past, "backtest", "toy", "--no-run", *RANGE)
    assert (ended.returncode, ended.stderr) == (0, "")
    lines = ended.stdout.splitlines()
    assert lines[0] == "toy: auc of each model on the days of its evaluation"
    assert lines[1].split() == ["day", "rows", "pipeline", "frozen", "baseline", "champion", "of", "ships"]
    days = [line.split() for line in lines[2:5]]
    assert [day[0] for day in days] == ["2026-10-01", "2026-10-02", "2026-10-03"]
    assert [day[-1] for day in days] == ["yes", "yes", "no"]
    assert [day[-2] for day in days[1:]] == ["2026-10-01", "2026-10-02"]
    assert lines[5].startswith("Mean auc of 3 days: pipeline 0.")
    assert "; the gate would have shipped 2 of 3. False promotions: no limit over repeated looks" in lines[5]


def test_a_gate_with_confidence_has_the_evidence_of_the_days_in_the_table(home: Home, tmp_path: Path) -> None:  # noqa: F811
    ledger, storage, gate = Ledger.create(home.ledger), Storage(home.store), Gate(confidence=0.95)
    for number, noise in enumerate((1.0, 0.2, 0.2)):
        keep(ledger, judged(storage, tmp_path / "bundles", number, noise, gate=gate))
    ended = sailplane(home, "backtest", "toy", "--no-run", *RANGE)
    lines = ended.stdout.splitlines()
    titles = ["day", "pipeline", "frozen", "baseline", "champion", "of", "e", "days", "ships"]
    assert lines[1].split() == titles
    second = dict(zip(titles, lines[3].split(), strict=True))
    assert (second["days"], float(second["e"]) > 1) == ("7", True)
    assert max(map(len, lines[1:5])) <= 80
    assert "False promotions: at most 0.053 expected a year" in lines[5]


def test_a_program_reads_the_same_as_json(past: Home) -> None:
    told = json.loads(sailplane(past, "backtest", "toy", "--no-run", "--json", *RANGE).stdout)
    assert (told["model"], told["metric"], told["shipped"], len(told["days"])) == ("toy", "auc", 2, 3)
    assert set(told["means"]) == {"pipeline", "frozen", "baseline"}
    first = told["days"][0]
    assert first["pipeline"] == first["frozen"]
    assert set(first["pipeline"]) == {"auc", "log_loss", "brier", "calibration_error"}


def test_it_says_which_days_were_corrected_since_they_were_first_ingested(past: Home) -> None:
    (last,) = verdicts(Ledger.create(past.ledger), "toy", Interval(start=FIRST + 2 * DAY, end=FIRST + 3 * DAY))
    revised = ("2026-09-20 in version 2", "2026-09-22 to 2026-09-24 in version 3")
    data = replace(last.evaluation.run.dataset, revised=revised)
    run = replace(last.evaluation.run, dataset=data)
    keep(Ledger.create(past.ledger), replace(last, evaluation=replace(last.evaluation, run=run)))
    said = sailplane(past, "backtest", "toy", "--no-run", *RANGE).stdout
    assert "1 of 3 runs used days that were corrected after they were first ingested" in said
    assert f"(2026-10-03: {'; '.join(revised)})" in said
    told = json.loads(sailplane(past, "backtest", "toy", "--no-run", "--json", *RANGE).stdout)
    assert [day["revised"] for day in told["days"]] == [[], [], list(revised)]
    assert told["days"][2]["dataset"] == data.version


def test_it_says_how_many_runs_are_of_rows_that_were_corrected_since(past: Home) -> None:
    interval = Interval(start=FIRST - 2 * DAY, end=FIRST - DAY)
    again = {interval.start: "a test"}
    rows = extract(interval.start, interval.end).iloc[1:]
    given = {"name": "toy", "schema": SCHEMA, "time": "time", "interval": interval}
    ingest(Storage(past.store), extract=lambda *_: rows, again=again, **given)
    told = sailplane(past, "backtest", "toy", "--no-run", *RANGE).stderr
    assert told == "The rows of 3 of 3 runs were corrected since they ran: --again repeats these.\n"


def test_the_curves_are_drawn_on_a_page_that_needs_no_network(past: Home) -> None:
    file = past.project / "backtest.html"
    ended = sailplane(past, "backtest", "toy", "--no-run", "--plot", str(file), *RANGE)
    assert ended.returncode == 0
    assert ended.stderr == f"{file}: open it in a browser; it needs no network.\n"
    assert ended.stdout.startswith("toy: auc")
    page = file.read_text()
    assert "<h1>toy: auc day by day</h1>" in page
    for name in ("the pipeline: each day", "what the gate would have served", "the first day", "the baseline", "ships"):
        assert name in page
    assert page.count("<tr><td>2026-10-") == 3
    used = verdicts(Ledger.create(past.ledger), "toy", Interval(start=FIRST, end=FIRST + 3 * DAY))
    assert all(one.evaluation.run.dataset.version[:8] in page for one in used)
    assert "default-src 'none'" in page


def test_of_a_dag_that_judges_several_models_one_is_named(past: Home, tmp_path: Path) -> None:
    keep(Ledger.create(past.ledger), judged(Storage(past.store), tmp_path / "bundles", 0, 0.5, model="other"))
    ended = sailplane(past, "backtest", "toy", "--no-run", *RANGE)
    assert ended.stderr == "sailplane: backtest toy: several models; expected --model other or toy.\n"
    assert sailplane(past, "backtest", "toy", "--no-run", "--model", "other", *RANGE).stdout.startswith("other: auc")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ("--from", "2026-10-03", "--to", "2026-10-01"),
            "backtest toy: --from 2026-10-03 is after --to 2026-10-01. Swap them.",
        ),
        (
            ("--from", "2026-10-03", "--to", "9999-12-31"),
            "backtest toy: --to 9999-12-31 is a day that has not ended yet (in UTC). Name a day in the past.",
        ),
        (("--from", "2026-02-30", "--to", "2026-10-01"), "read --from: '2026-02-30'; expected a day like 2026-10-01."),
        ((*RANGE, "--plot", "curves.png"), "write plot curves.png: expected a file name that ends in .html."),
        ((*RANGE, "--max-active", "0"), "read --max-active: 0; expected 1 or more."),
        (
            ("--no-run", "--from", "2025-10-01", "--to", "2025-10-03"),
            "backtest toy: no verdict on a model from the days 2025-10-01 to 2025-10-03. Run it without --no-run, or "
            "see why its runs failed.",
        ),
    ],
)
def test_what_cannot_be_done_is_one_line(past: Home, arguments: tuple[str, ...], said: str) -> None:
    ended = sailplane(past, "backtest", "toy", *arguments)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == f"sailplane: {said}\n"


def test_without_the_services_it_says_how_to_start_them(past: Home) -> None:
    ended = sailplane(past, "backtest", "toy", *RANGE)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith(f"sailplane: reach http://127.0.0.1:{past.ui_port}: ")
    assert ended.stderr.endswith("Run `sailplane up`.\n")
