from __future__ import annotations

import json
import math
import random
import re
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest
from plotly.graph_objects import Figure
from plotly.offline import get_plotlyjs

from sailplane.records import Trial
from sailplane.sweeps import charts
from sailplane.sweeps.axes import marks, number_axis, parameter_axis
from sailplane.sweeps.importance import ParameterImportance
from sailplane.sweeps.parallel_chart import parallel
from sailplane.sweeps.plots import page
from sailplane.sweeps.results import ranked
from sailplane.sweeps.space import SweepConfig, parse
from sailplane.sweeps.stopping import stopped_early
from sailplane.sweeps.suggest import suggest

TEXT = """\
method: random
metric: {name: auc, goal: maximize}
run_cap: 30
early_terminate: {type: hyperband, min_iter: 2}
parameters:
  rate: {distribution: log_uniform_values, min: 0.001, max: 0.1}
  net:
    parameters:
      layers: {values: [1, 2, 3]}
      kind: {value: dense}
"""


def swept(config: SweepConfig, count: int, values: int = 5) -> list[Trial]:
    """Makes finished trials, of which every third one ended after three values. One in four failed, and the last one
    runs."""
    trials = []
    for number in range(count):
        chosen = suggest(config, [], number, 7) or {}
        score = 0.9 - (math.log10(chosen["rate"]) + 2) ** 2 / 10 - chosen["net"]["layers"] / 100
        reported = tuple(score - 0.3 / n for n in range(1, (4 if number % 3 == 2 else values + 1)))
        trial = Trial(sweep="s", number=number, config=chosen, state="finished", score=score, values=reported)
        trials.append(replace(trial, state="failed", score=None) if number % 4 == 3 else trial)
    return [*trials[:-1], replace(trials[-1], state="running", score=None)]


def drawn(config: SweepConfig, trials: list[Trial], name: str = "s", **more: Any) -> str:
    facts: dict[str, Any] = {"leaderboard": [["trial"]], "importances": {}, "failures": {}}
    return page(name, "state", config, trials, **facts | more)


def shares(**known: float) -> dict[str, ParameterImportance]:
    """Draws True with a probability of 0.3."""
    return {
        name: ParameterImportance(share=one, low=one / 2, high=min(1, 1.1 * one), chance=0.3)
        for name, one in known.items()
    }


def by_name(figure: charts.Figure) -> dict[str, dict[str, Any]]:
    return {trace["name"]: trace for trace in figure["data"] if "name" in trace}


@pytest.fixture
def config() -> SweepConfig:
    return parse(TEXT)


@pytest.fixture
def trials(config: SweepConfig) -> list[Trial]:
    return swept(config, 10)


def test_the_history_has_each_score_at_its_trial_and_marks_those_that_failed_or_were_stopped(
    config: SweepConfig, trials: list[Trial]
) -> None:
    traces = by_name(charts.history(config, trials, {3: "no <memory>"}))
    assert traces["finished"]["x"] == [0, 1, 4, 6]
    assert traces["stopped early"]["x"] == [2, 5, 8]
    assert traces["failed"]["x"] == [3, 7]
    assert traces["failed"]["hovertext"][0] == "trial 3 failed<br>no &lt;memory&gt;"
    assert traces["finished"]["y"] == [trials[number].score for number in (0, 1, 4, 6)]


@pytest.mark.parametrize(("goal", "best"), [("maximize", max), ("minimize", min)])
def test_the_best_so_far_is_a_step_line_to_the_last_trial(goal: str, best: Any, trials: list[Trial]) -> None:
    line = by_name(charts.history(parse(TEXT.replace("maximize", goal)), trials, {}))["best so far"]
    scores = [trial.score for trial in trials if trial.state == "finished"]
    assert line["y"] == [*(best(scores[:n]) for n in range(1, len(scores) + 1)), best(scores)]
    assert (line["x"][-1], line["line"]["shape"]) == (9, "hv")


def test_without_a_rule_that_stops_trials_none_was_stopped(trials: list[Trial]) -> None:
    config = parse(TEXT.replace("early_terminate: {type: hyperband, min_iter: 2}\n", ""))
    assert stopped_early(config.stopping, trials) == frozenset()


def test_learning_curves_have_gaps_between_trials_and_the_best_one_on_top(
    config: SweepConfig, trials: list[Trial]
) -> None:
    best = ranked(config, tuple(trials))[0]
    figure = charts.curves(config, trials, best)
    assert [trace["name"] for trace in figure["data"]] == ["finished", "running", "failed", "stopped early", "best"]
    traces = by_name(figure)
    assert traces["best"]["y"] == [*best.values, None]
    assert traces["failed"]["x"] == [1, 2, 3, 4, 5, None] * 2
    assert traces["stopped early"]["hovertext"][0] == f"trial 2, value 1: {trials[2].values[0]:.5g}"


def test_each_trial_is_a_line_through_its_parameters_to_its_score(config: SweepConfig, trials: list[Trial]) -> None:
    leaders = ranked(config, tuple(trials))
    figure = parallel(config, leaders)
    best = figure["data"][-2]
    assert best["name"] == f"best: trial {leaders[0].number}"
    assert best["y"][-2:] == [1, None]
    assert sum(trace["y"].count(None) for trace in figure["data"]) == len(leaders)
    titles = [words["text"] for words in figure["layout"]["annotations"] if words["text"].startswith("<b>")]
    assert titles == ["<b>net.layers</b>", "<b>rate</b>", "<b>auc</b>"]


def test_better_scores_are_darker_whatever_the_goal(config: SweepConfig, trials: list[Trial]) -> None:
    for goal in ("maximize", "minimize"):
        aimed = parse(TEXT.replace("maximize", goal))
        ends = parallel(aimed, ranked(aimed, tuple(trials)))["data"][-1]
        shades = [shade for _, shade in ends["marker"]["colorscale"]]
        assert (shades[0] < shades[-1]) == (goal == "minimize")


def test_an_axis_of_a_log_distribution_is_logarithmic(config: SweepConfig) -> None:
    rate = next(parameter for parameter in config.parameters if parameter.name == "rate")
    axis = parameter_axis(rate, [0.001, 0.01, 0.1])
    assert axis.positions == pytest.approx((0, 0.5, 1))
    assert [label for _, label in axis.ticks] == ["0.001", "0.002", "0.005", "0.01", "0.02", "0.05", "0.1"]


def test_choices_of_every_kind_have_labels_that_differ() -> None:
    values = '[true, "true", null, 1, 1.0, [32, 64], {a: b}, "x <&> y"]'
    config = parse(f"method: grid\nmetric: {{name: a}}\nparameters:\n  p: {{values: {values}}}\n")
    axis = parameter_axis(config.parameters[0], [True, "true", 1, 1.0])
    labels = [label for _, label in axis.ticks]
    assert labels == ["true", '"true"', "null", "1", "1.0", "[32, 64]", '{"a": "b"}', '"x <&> y"']
    assert axis.positions == pytest.approx((0, 1 / 7, 3 / 7, 4 / 7))


def test_many_choices_and_long_ones_leave_room_between_the_labels() -> None:
    values = json.dumps([f"{'long' * 20}{n}" for n in range(100)])
    config = parse(f"method: grid\nmetric: {{name: a}}\nparameters:\n  p: {{values: {values}}}\n")
    ticks = parameter_axis(config.parameters[0], []).ticks
    assert len(ticks) == 20
    assert max(len(label) for _, label in ticks) <= 18
    assert len({label for _, label in ticks}) == 20


def test_marks_are_few_and_lie_on_the_axis() -> None:
    draw = random.Random(1)
    for _ in range(2000):
        low, high = sorted(draw.choice((-1, 1)) * 10 ** draw.uniform(-12, 12) for _ in range(2))
        for log in (False, low > 0):
            found = marks(low, high, log=log)
            assert 1 <= len(found) <= 10, (low, high, log)
            places = [place for place, _ in number_axis("a", [low, high], log=log).ticks]
            assert all(-1e-6 <= place <= 1 + 1e-6 for place in places), (low, high, log)


def test_scores_that_diverged_do_not_press_the_others_together(config: SweepConfig, trials: list[Trial]) -> None:
    diverged = [*trials, replace(trials[0], number=10, score=1e9)]
    assert charts.history(config, trials, {})["layout"]["yaxis"]["type"] == "linear"
    assert charts.history(config, diverged, {})["layout"]["yaxis"]["type"] == "log"


@pytest.mark.parametrize("count", [2, 10, 40])
def test_plotly_accepts_every_figure(config: SweepConfig, count: int) -> None:
    found = swept(config, count)
    leaders = ranked(config, tuple(found))
    for figure in (
        charts.history(config, found, {}),
        charts.curves(config, found, leaders[0]),
        parallel(config, leaders),
        charts.bars(shares(rate=0.75, layers=0.25)),
    ):
        Figure(figure)


def test_the_page_has_one_copy_of_the_library_and_asks_no_server(config: SweepConfig, trials: list[Trial]) -> None:
    html = drawn(config, trials, importances=shares(rate=0.75, layers=0.25))
    library = get_plotlyjs()
    assert html.count(library) == 1
    rest = html.replace(library, "")
    assert re.findall(r"""(?:src|href)\s*=|https?://""", rest) == []
    assert re.findall(r'<div id="(\w+)"', rest) == ["history", "curves", "parameters", "importance"]
    assert html == drawn(config, trials, importances=shares(rate=0.75, layers=0.25))


def test_no_text_of_a_sweep_is_taken_for_html() -> None:
    bad = "</script><img src=x onerror=alert(1)>&amp;"
    text = TEXT.replace("name: auc", f"name: {json.dumps(bad)}").replace("[1, 2, 3]", json.dumps([bad, "b&b"]))
    config = parse(text)
    chosen = {"rate": 0.01, "net": {"layers": bad, "kind": "dense"}}
    trials = [Trial(sweep=bad, number=0, config=chosen, state="finished", score=1.0, values=(1.0,))]
    trials.append(replace(trials[0], number=1, state="failed", score=None))
    html = drawn(
        config, trials, name=bad, leaderboard=[[bad], [bad]], failures={1: bad}, importances=shares(**{bad: 0.2})
    )
    rest = html.replace(get_plotlyjs(), "")
    assert "<img" not in rest
    assert "&lt;/script&gt;&lt;img src=x onerror=alert(1)&gt;&amp;amp;" in rest
    assert rest.count("</script>") == rest.count("<script>")


def test_a_sweep_without_a_finished_trial_says_so(config: SweepConfig, trials: list[Trial]) -> None:
    failed = [replace(trial, state="failed", score=None) for trial in trials]
    for found, places in (([], []), (trials[-1:], ["curves"]), (failed, ["history", "curves"])):
        html = drawn(config, found)
        assert "No trial has finished yet." in html
        assert re.findall(r'<div id="(\w+)"', html) == places


def test_importances_that_cannot_be_known_are_one_sentence(config: SweepConfig, trials: list[Trial]) -> None:
    reason = "Not available: too few trials: 7 finished; at least 20 are needed."
    assert reason in drawn(config, trials)
    assert "Not available" not in drawn(config, trials, importances=shares(rate=1.0))


def test_an_importance_has_its_range_and_what_chance_would_give(config: SweepConfig, trials: list[Trial]) -> None:
    known = shares(rate=0.75, layers=0.25)
    [bar] = charts.bars(known)["data"]
    assert bar["error_x"]["array"] == pytest.approx([0.075, 0.025])
    assert bar["error_x"]["arrayminus"] == pytest.approx([0.375, 0.125])
    assert bar["marker"]["color"] == [charts.BLUE, charts.GREY]
    assert charts.bars(known)["layout"]["shapes"][0]["x0"] == 0.3
    html = drawn(config, trials, importances=known)
    assert "the largest share would stay below 30% in 95% of sweeps. Not distinguishable from noise: layers." in html
    assert "Not distinguishable" not in drawn(config, trials, importances=shares(rate=0.75))


def test_weak_rungs_are_a_warning_on_the_page(config: SweepConfig) -> None:
    """The better a trial ends, the worse it starts."""
    chosen = {"rate": 0.01, "net": {"layers": 1, "kind": "dense"}}
    whole = [Trial(sweep="s", number=n, config=chosen, state="finished", score=n, values=(0, -n, n)) for n in range(6)]
    early = replace(whole[0], number=6, values=(0, -9), score=-9.0)
    told = "After 2 values trial ranks correlate weakly with the final ranks: -1.00 (Spearman, 6 full trials"
    assert f'<p class="warning">{told}' in drawn(config, [*whole, early])
    assert '<p class="warning">' not in drawn(config, whole)


def test_one_trial_is_drawn_in_the_middle() -> None:
    config = parse("method: grid\nmetric: {name: a}\nparameters:\n  p: {values: [1]}\n")
    only = [Trial(sweep="s", number=0, config={"p": 1}, state="finished", score=0.0)]
    assert re.findall(r'<div id="(\w+)"', drawn(config, only)) == ["history", "parameters"]
    assert parallel(config, only)["data"][-2]["y"] == [0.5, 0.5, None]


def test_of_constant_parameters_only_the_history_is_drawn() -> None:
    config = parse("method: grid\nmetric: {name: a}\nparameters:\n  p: {value: 1}\n")
    html = drawn(config, [Trial(sweep="s", number=0, config={"p": 1}, state="finished", score=0.0)])
    assert re.findall(r'<div id="(\w+)"', html) == ["history"]
    assert "All parameters are constant." in html


@pytest.mark.slow
def test_the_command_line_starts_without_the_library() -> None:
    script = (
        "import sys, sailplane.cli, sailplane.commands.sweep, sailplane.sweeps.plots; print('plotly' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True).stdout == "False\n"
