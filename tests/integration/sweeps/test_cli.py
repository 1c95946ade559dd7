"""`sailplane sweep ...`, as a user calls it."""

from __future__ import annotations

import json

import pytest

from sailplane.home import Home
from sailplane.ledger import Ledger
from sailplane.sweeps import lifecycle, queue
from sailplane.sweeps.space import parse
from tests.unit.commands.test_cli import sailplane

TEXT = """\
method: random
metric: {name: loss}
run_cap: 8
parameters:
  rate: {distribution: log_uniform_values, min: 0.001, max: 0.1}
  net:
    parameters:
      width: {values: [32, 64]}
      kind: {value: dense}
"""


@pytest.fixture
def ledger(home: Home) -> Ledger:
    """A sweep with eight trials: five finished, one failed, one runs. The score is the rate."""
    ledger = Ledger.create(home.ledger)
    lifecycle.create(ledger, "toy/first", parse(TEXT))
    lifecycle.create(ledger, "toy/second", parse(TEXT))
    for _ in range(7):
        trial = queue.ask(ledger, "toy/second", "w")
        assert trial is not None
        queue.report(ledger, trial, "w", 0, 9.0)
        if trial.number < 5:
            queue.finish(ledger, trial, "w", trial.config["rate"])
        elif trial.number == 5:
            queue.fail(ledger, trial, "w", "no memory [cuda:0]")
    return ledger


def test_a_file_that_is_valid_is_described(home: Home) -> None:
    file = home.project / "sweep.yaml"
    file.write_text(TEXT)
    ended = sailplane(home, "sweep", "check", str(file))
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.splitlines() == [
        f"{file} is valid: random, 8 trials, to minimize loss",
        '  net.kind: "dense"',
        "  net.width: 32, 64",
        "  rate: log_uniform_values, min 0.001, max 0.1",
    ]


def test_exponents_are_shown_as_the_values_that_they_give(home: Home) -> None:
    file = home.project / "sweep.yaml"
    file.write_text(TEXT.replace("log_uniform_values", "log_uniform"))
    assert (
        "  rate: log_uniform, min 0.001, max 0.1: from 1.001 to 1.105\n"
        in sailplane(home, "sweep", "check", str(file)).stdout
    )


def test_a_file_that_is_not_is_refused_with_the_line_and_the_reason(home: Home) -> None:
    file = home.project / "sweep.yaml"
    file.write_text(TEXT.replace("min: 0.001", "mim: 0.001"))
    ended = sailplane(home, "sweep", "check", str(file))
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith("sailplane: sweep.yaml:5: unknown key 'mim'")
    assert ended.stderr.count("\n") == 1


@pytest.mark.usefixtures("ledger")
def test_the_newest_sweep_is_shown_the_best_trial_first(home: Home) -> None:
    ended = sailplane(home, "sweep", "show")
    lines = ended.stdout.splitlines()
    assert lines[0] == "toy/second: 5 of 8 trials finished, 1 running, 1 failed; to minimize loss"
    assert lines[1].split() == ["trial", "loss", "net.width", "rate", "values"]
    losses = [float(line.split()[1]) for line in lines[2:7]]
    assert losses == sorted(losses)
    assert lines[7] == "Importance: too few trials: 5 finished; at least 20 are needed"
    assert lines[8] == "trial 5 failed: no memory [cuda:0]"


@pytest.mark.usefixtures("ledger")
def test_a_program_reads_the_same_as_json(home: Home) -> None:
    told = json.loads(sailplane(home, "sweep", "show", "toy/second", "--json").stdout)
    by_number = {trial["number"]: trial for trial in told["trials"]}
    assert len(by_number) == 7
    assert told["best"] == sorted(range(5), key=lambda number: by_number[number]["score"])
    assert (by_number[6]["state"], by_number[6]["values"]) == ("running", [9.0])
    assert told["importances"] == {}


def test_importances_come_with_their_range_and_what_chance_gives(home: Home) -> None:
    ledger = Ledger.create(home.ledger)
    lifecycle.create(ledger, "toy/long", parse(TEXT.replace("run_cap: 8", "run_cap: 40")))
    while trial := queue.ask(ledger, "toy/long", "w"):
        queue.finish(ledger, trial, "w", trial.config["rate"])
    told = json.loads(sailplane(home, "sweep", "show", "--json").stdout)["importances"]
    assert list(told) == ["rate", "net.width"]
    rate, width = told.values()
    assert rate["low"] <= rate["share"] <= rate["high"]
    assert width["share"] < width["chance"] < rate["share"]
    [line] = [line for line in sailplane(home, "sweep", "show").stdout.splitlines() if "Importance" in line]
    assert line.startswith(
        f"Importance: rate {rate['share']:.0%} ({rate['low']:.0%} to {rate['high']:.0%}); net.width "
    )
    assert line.endswith(f", not distinguishable from noise. Chance alone gives up to {rate['chance']:.0%}.")


def test_a_sweep_whose_rungs_rank_trials_otherwise_than_the_end_is_shown_with_a_warning(home: Home) -> None:
    ledger = Ledger.create(home.ledger)
    rule = "early_terminate: {type: hyperband, min_iter: 1}\n"
    lifecycle.create(ledger, "toy/crossed", parse(TEXT + rule))
    for number in range(8):
        trial = queue.ask(ledger, "toy/crossed", "w")
        assert trial is not None
        for step, loss in enumerate([number, -number][: 1 if number == 7 else 2]):
            queue.report(ledger, trial, "w", step, float(loss))
        queue.finish(ledger, trial, "w", float(-number))
    told = sailplane(home, "sweep", "show").stdout.splitlines()[-1]
    assert told.startswith("After 1 value trial ranks correlate weakly with the final ranks: -1.00")


@pytest.mark.usefixtures("ledger")
def test_a_sweep_is_drawn_on_a_page_with_the_whole_leaderboard(home: Home) -> None:
    file = home.project / "sweep.html"
    ended = sailplane(home, "sweep", "show", "--plot", str(file))
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout == f"{file}: open it in a browser; it needs no network.\n"
    page = file.read_text()
    assert "<h1>toy/second</h1>" in page
    assert "<p>5 of 8 trials finished, 1 running, 1 failed; to minimize <b>loss</b></p>" in page
    assert "<thead><tr><th>trial</th><th>loss</th><th>net.width</th><th>rate</th><th>values</th></tr></thead>" in page
    assert page.count("<tr><td>") == 5
    assert "<li>trial 5: no memory [cuda:0]</li>" in page


@pytest.mark.usefixtures("ledger")
def test_a_page_without_a_name_of_its_own_replaces_the_last_one_under_the_home(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(home.project)
    (home.root / "sweep.html").write_text("the last one")
    assert sailplane(home, "sweep", "show", "toy/first", "--plot").returncode == 0
    assert "No trial has finished yet." in (home.root / "sweep.html").read_text()
    assert not (home.project / "sweep.html").exists()


def test_the_newest_sweep_of_a_dag_or_a_model_is_found_by_its_name(home: Home, ledger: Ledger) -> None:
    lifecycle.create(ledger, "other/third", parse(TEXT), job={"dag": "nightly"})
    for name, sweep in [("toy", "toy/second"), ("other", "other/third"), ("nightly", "other/third")]:
        assert sailplane(home, "sweep", "show", name).stdout.startswith(f"{sweep}: ")


def test_a_sweep_is_stopped_by_its_models_name_where_only_one_is_open(home: Home, ledger: Ledger) -> None:
    lifecycle.stop(ledger, "toy/first", "enough")
    ended = sailplane(home, "sweep", "stop", "toy")
    assert (ended.returncode, ended.stdout.partition(" ")[0]) == (0, "toy/second")


@pytest.mark.usefixtures("ledger")
@pytest.mark.parametrize("command", ["stop", "restart", "share"])
def test_a_name_that_several_sweeps_have_is_refused_with_the_candidates(home: Home, command: str) -> None:
    ended = sailplane(home, "sweep", command, "toy")
    assert (ended.returncode, ended.stdout) == (1, "")
    expected = "find sweep toy: the name has several sweeps; expected one of toy/second, toy/first.\n"
    assert ended.stderr == f"sailplane: {expected}"


def test_a_file_of_wandbs_is_valid_and_says_what_the_dag_decides(home: Home) -> None:
    file = home.project / "sweep.yaml"
    file.write_text(f"program: train.py\n{TEXT}")
    ended = sailplane(home, "sweep", "check", str(file))
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.splitlines()[-1] == "sweep.yaml:1: 'program' is not used: the DAG names the train function."


@pytest.mark.usefixtures("ledger")
@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ("folder.html", "Is a directory. Name a file in an existing folder that you can write to."),
        ("missing/sweep.html", "No such file or directory. Name a file in an existing folder that you can write to."),
        ("toy/second", "expected a file name that ends in .html. The sweep's name goes before --plot."),
    ],
)
def test_a_page_that_cannot_be_written_is_one_line_and_leaves_nothing(home: Home, place: str, reason: str) -> None:
    (home.project / "folder.html").mkdir()
    before = sorted(home.project.iterdir())
    ended = sailplane(home, "sweep", "show", "--plot", str(home.project / place))
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == f"sailplane: write plot {home.project / place}: {reason}\n"
    assert sorted(home.project.iterdir()) == before


@pytest.mark.usefixtures("ledger")
def test_a_sweep_is_stopped_and_the_list_says_so(home: Home) -> None:
    assert sailplane(home, "sweep", "stop", "toy/second").returncode == 0
    assert sailplane(home, "sweep", "list").stdout.splitlines() == [
        "toy/second: 5 of 8 trials finished, 1 running, 1 failed, stopped: `sailplane sweep stop`",
        "toy/first: 0 of 8 trials finished",
    ]


@pytest.mark.parametrize("command", [["show"], ["show", "nothing"], ["stop", "nothing"]])
def test_a_sweep_that_is_not_there_is_one_line(home: Home, command: list[str]) -> None:
    Ledger.create(home.ledger)
    ended = sailplane(home, "sweep", *command)
    assert ended.returncode == 1
    assert ended.stderr.startswith("sailplane: find sweep")
    assert ended.stderr.count("\n") == 1
