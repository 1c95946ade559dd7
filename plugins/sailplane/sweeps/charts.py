"""A sweep's charts as Plotly JSON (https://plotly.com/javascript/reference): values in, figures out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from itertools import accumulate
from typing import Any, Final

from sailplane.records import Trial
from sailplane.sweeps.axes import cut, is_wide, step, text
from sailplane.sweeps.importance import ParameterImportance
from sailplane.sweeps.space import SweepConfig
from sailplane.sweeps.stopping import stopped_early

Figure = dict[str, Any]

# Colours that people with colour blindness can tell apart (Okabe and Ito, 2008).
BLUE, ORANGE, RED, GREEN, GREY = "#0072B2", "#E69F00", "#D55E00", "#009E73", "#9AA5B1"
INK, RULE = "#243B53", "#D9E2EC"
_MANY_POINTS: Final = 2000


def history(config: SweepConfig, trials: Sequence[Trial], failures: Mapping[int, str]) -> Figure:
    """The score of each finished trial by number, the best so far, and marks for failed trials. `trials` are sorted by
    number."""
    finished = [trial for trial in trials if trial.state == "finished"]
    early = stopped_early(config.stopping, trials)
    whole = [trial for trial in finished if trial.number not in early]
    data = [
        _scores(config, "finished", whole, {"color": BLUE, "size": 8}),
        _scores(config, "stopped early", [t for t in finished if t.number in early], _marker(ORANGE, "diamond")),
        _best_so_far(config, finished, trials[-1].number),
        _failed([trial.number for trial in trials if trial.state == "failed"], failures),
    ]
    return {
        "data": [trace for trace in data if trace["x"]],
        "layout": laid_out(
            xaxis=_counted("trial", -0.5, trials[-1].number + 0.5),
            yaxis=_valued(config.metric, [score_of(trial) for trial in finished]),
            # Failed trials have no score: their marks are at the bottom, below all scores.
            yaxis2={"overlaying": "y", "range": [0, 1], "visible": False, "fixedrange": True},
        ),
    }


def curves(config: SweepConfig, trials: Sequence[Trial], best: Trial | None) -> Figure:
    """The values reported by trials, by their count; the best trial is on top."""
    early = stopped_early(config.stopping, trials)
    kinds: dict[str, tuple[str, list[Trial]]] = {
        "finished": (BLUE, []),
        "running": (GREY, []),
        "failed": (RED, []),
        "stopped early": (ORANGE, []),
        "best": (GREEN, []),
    }
    for trial in trials:
        kind = "stopped early" if trial.number in early else trial.state
        kinds["best" if best and trial.number == best.number else kind][1].append(trial)
    data = [_curves(kind, colour, found) for kind, (colour, found) in kinds.items()]
    longest = max(len(trial.values) for trial in trials)
    return {
        "data": [trace for trace in data if trace["x"]],
        "layout": laid_out(
            xaxis=_counted("values reported", 0.5, longest + 0.5),
            yaxis=_valued(config.metric, [value for trial in trials for value in trial.values]),
        ),
    }


def bars(importances: Mapping[str, ParameterImportance]) -> Figure:
    """The importance of each parameter with its range, the largest on top, and a line at the level of chance.
    `importances` must not be empty."""
    found = list(importances.values())
    names = [escape(cut(name, 40)) for name in importances]
    ranges = {"type": "data", "symmetric": False, "color": INK, "thickness": 1}
    ranges |= {"array": [max(0.0, share.high - share.share) for share in found]}
    ranges |= {"arrayminus": [max(0.0, share.share - share.low) for share in found]}
    bar: dict[str, Any] = {"type": "bar", "orientation": "h", "x": [share.share for share in found], "y": names}
    bar |= {"marker": {"color": [GREY if share.is_noise else BLUE for share in found]}, "error_x": ranges}
    bar |= {"hovertext": [f"{name}: {share.described}" for name, share in zip(names, found, strict=True)]}
    chance = {"type": "line", "x0": found[0].chance, "x1": found[0].chance, "y0": 0, "y1": 1, "yref": "paper"}
    words = {"text": "chance", "x": found[0].chance, "y": 1, "yref": "paper", "yanchor": "bottom", "showarrow": False}
    layout = laid_out(
        xaxis={"tickformat": ".0%", "range": [0, 1.08], "gridcolor": RULE, "title": {"text": "share of the variance"}},
        yaxis={"type": "category", "autorange": "reversed", "automargin": True, "ticksuffix": "  "},
        shapes=[chance | {"line": {"color": RED, "dash": "dash", "width": 1.5}}],
        annotations=[words | {"font": {"color": RED}}],
    )
    height = {"height": 130 + 32 * len(names), "bargap": 0.35, "showlegend": False}
    return {"data": [bar | {"hoverinfo": "text"}], "layout": layout | height}


def _scores(config: SweepConfig, name: str, found: Sequence[Trial], marker: Mapping[str, Any]) -> dict[str, Any]:
    points = {"x": [trial.number for trial in found], "y": [score_of(trial) for trial in found]}
    hover = {"hovertext": [hover_text(config, trial) for trial in found], "hoverinfo": "text"}
    return {"type": "scatter", "mode": "markers", "name": name, "marker": dict(marker), **points, **hover}


def _best_so_far(config: SweepConfig, finished: Sequence[Trial], last: int) -> dict[str, Any]:
    """Extends to the last trial, to show how long the best score has not improved."""
    bests = list(accumulate(map(score_of, finished), max if config.maximize else min))
    numbers = [trial.number for trial in finished]
    line = {"shape": "hv", "color": GREEN, "width": 2}
    points = {"x": [*numbers, last] if numbers else [], "y": [*bests, *bests[-1:]]}
    return {"type": "scatter", "mode": "lines", "name": "best so far", "line": line, "hoverinfo": "skip", **points}


def _failed(numbers: Sequence[int], failures: Mapping[int, str]) -> dict[str, Any]:
    hover = [f"trial {number} failed<br>{escape(cut(text(failures.get(number) or ''), 120))}" for number in numbers]
    points = {"x": list(numbers), "y": [0.03] * len(numbers), "yaxis": "y2", "hovertext": hover, "hoverinfo": "text"}
    return {"type": "scatter", "mode": "markers", "name": "failed", "marker": _marker(RED, "x"), **points}


def _curves(kind: str, colour: str, found: Sequence[Trial]) -> dict[str, Any]:
    """One trace with gaps: a trace for each of a thousand trials would take a browser minutes."""
    x, y, hover = list[int | None](), list[float | None](), list[str | None]()
    for trial in (trial for trial in found if trial.values):
        x += [*range(1, len(trial.values) + 1), None]
        y += [*trial.values, None]
        hover += [*(f"trial {trial.number}, value {n}: {v:.5g}" for n, v in enumerate(trial.values, 1)), None]
    look = {"line": {"color": colour, "width": 3 if kind == "best" else 1.2}, "marker": {"size": 4}}
    look |= {"mode": "lines+markers" if len(x) < _MANY_POINTS else "lines", "opacity": 1 if kind == "best" else 0.7}
    return {"type": "scatter", "name": kind, "x": x, "y": y, "hovertext": hover, "hoverinfo": "text", **look}


def hover_text(config: SweepConfig, trial: Trial) -> str:
    """A finished trial's number, score and free parameters, a line each."""
    free = [parameter for parameter in config.parameters if parameter.distribution != "constant"]
    parts = [f"trial {trial.number}", f"{config.metric}: {score_of(trial):.5g}"]
    parts += [f"{parameter.name}: {text(parameter.of(trial.config))}" for parameter in free]
    return "<br>".join(escape(cut(part, 80)) for part in parts)


def score_of(trial: Trial) -> float:
    """The score of a finished trial, which always has one."""
    return trial.score or 0.0


def _marker(colour: str, symbol: str) -> dict[str, Any]:
    return {"color": colour, "symbol": symbol, "size": 9}


def _counted(title: str, low: float, high: float) -> dict[str, Any]:
    """An axis of integers."""
    axis = {"title": {"text": title}, "range": [low, high], "tick0": 0, "dtick": max(1.0, step(low, high, 12))}
    return axis | {"showgrid": False, "linecolor": INK, "zeroline": False, "ticks": "outside"}


def _valued(title: str, values: Sequence[float]) -> dict[str, Any]:
    axis = {"title": {"text": escape(cut(title, 40))}, "type": "log" if is_wide(values) else "linear"}
    return axis | {"gridcolor": RULE, "zeroline": False, "automargin": True}


def laid_out(**more: Any) -> dict[str, Any]:
    """A layout in the common style of all charts."""
    font = {"family": "system-ui, sans-serif", "size": 13, "color": INK}
    legend = {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0}
    look = {"font": font, "paper_bgcolor": "white", "plot_bgcolor": "white", "hovermode": "closest", "height": 420}
    return look | {"legend": legend, "showlegend": True, "margin": {"l": 70, "r": 20, "t": 40, "b": 55}} | more
