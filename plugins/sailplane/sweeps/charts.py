"""A sweep's charts as Plotly JSON (https://plotly.com/javascript/reference): values in, figures out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from itertools import accumulate
from typing import Any, Final

from sailplane.records import Trial
from sailplane.sweeps.axes import Axis, cut, is_wide, number_axis, parameter_axis, step, text
from sailplane.sweeps.importance import ParameterImportance
from sailplane.sweeps.space import SweepConfig

Figure = dict[str, Any]

# Colours that people with colour blindness can tell apart (Okabe and Ito, 2008).
BLUE, ORANGE, RED, GREEN, GREY = "#0072B2", "#E69F00", "#D55E00", "#009E73", "#9AA5B1"
INK, RULE = "#243B53", "#D9E2EC"
# From the worst to the best score.
_SHADES: Final = (
    "#D3E4C5",
    "#C3DEC3",
    "#A6D3C1",
    "#84C6C0",
    "#5FB3BE",
    "#4399B8",
    "#357CAB",
    "#2B5F9B",
    "#253F85",
    "#1B2468",
)
_MANY_POINTS: Final = 2000
# In CSS px; with less, the labels of two axes overlap.
AXIS_WIDTH: Final = 160


def history(config: SweepConfig, trials: Sequence[Trial], failures: Mapping[int, str]) -> Figure:
    """The score of each finished trial by number, the best so far, and marks for failed trials. `trials` are sorted by
    number."""
    finished = [trial for trial in trials if trial.state == "finished"]
    early = stopped_early(config, trials)
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
            yaxis=_valued(config.metric, [_score(trial) for trial in finished]),
            # Failed trials have no score: their marks are at the bottom, below all scores.
            yaxis2={"overlaying": "y", "range": [0, 1], "visible": False, "fixedrange": True},
        ),
    }


def curves(config: SweepConfig, trials: Sequence[Trial], best: Trial | None) -> Figure:
    """The values reported by trials, by their count; the best trial is on top."""
    early = stopped_early(config, trials)
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


def parallel(config: SweepConfig, leaders: Sequence[Trial]) -> Figure:
    """A line a trial through its values of the free parameters to its score; `leaders` are sorted, best first.

    Drawn with plain lines: Plotly's own `parcoords` does not say which trial a line is, needs WebGL, and allows custom
    tick labels, which a logarithmic axis needs, only for choices.
    """
    free = [parameter for parameter in config.parameters if parameter.distribution != "constant"]
    scores = [_score(trial) for trial in leaders]
    axes = [parameter_axis(parameter, [parameter.of(trial.config) for trial in leaders]) for parameter in free]
    axes.append(number_axis(config.metric, scores, log=is_wide(scores)))
    hover = [_hover_text(config, trial) for trial in leaders]
    layout = laid_out(
        xaxis={"visible": False, "range": [-0.1, len(axes) - 0.9], "fixedrange": True},
        yaxis={"visible": False, "range": [-0.03, 1.03], "fixedrange": True},
        shapes=[_rule(n) for n in range(len(axes))],
        annotations=[words for n, axis in enumerate(axes) for words in _words(n, axis)],
    )
    layout |= {"margin": {"l": 130, "r": 20, "t": 50, "b": 50}, "height": 460}
    layout["legend"] = {"x": 0, "y": -0.03, "yanchor": "top"}
    if len(axes) > 7:
        layout["width"] = len(axes) * AXIS_WIDTH
    return {"data": [*_lines(config, axes, hover), _ends(config, axes[-1], len(axes) - 1, hover)], "layout": layout}


def bars(importances: Mapping[str, ParameterImportance]) -> Figure:
    """The importance of each parameter with its range, the largest on top, and a line at the level of chance.
    `importances` must not be empty."""
    found = list(importances.values())
    names = [escape(cut(name, 40)) for name in importances]
    ranges = {"type": "data", "symmetric": False, "color": INK, "thickness": 1}
    ranges |= {"array": [max(0.0, one.high - one.share) for one in found]}
    ranges |= {"arrayminus": [max(0.0, one.share - one.low) for one in found]}
    bar: dict[str, Any] = {"type": "bar", "orientation": "h", "x": [one.share for one in found], "y": names}
    bar |= {"marker": {"color": [GREY if one.is_noise else BLUE for one in found]}, "error_x": ranges}
    bar |= {"hovertext": [f"{name}: {told_importance(one)}" for name, one in zip(names, found, strict=True)]}
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


def told_importance(found: ParameterImportance) -> str:
    """The share with its range, in percent."""
    told = f"{found.share:.0%} ({found.low:.0%} to {found.high:.0%})"
    return f"{told}, not distinguishable from noise" if found.is_noise else told


def stopped_early(config: SweepConfig, trials: Sequence[Trial]) -> frozenset[int]:
    """The numbers of the finished trials that early stopping ended, judged by their reports: they reached the first
    band, but reported less than others. Empty without early stopping."""
    if config.stopping is None:
        return frozenset()
    longest = max((len(trial.values) for trial in trials), default=0)
    ended = (trial for trial in trials if trial.state == "finished")
    return frozenset(t.number for t in ended if config.stopping.bands[0] <= len(t.values) < longest)


def _scores(config: SweepConfig, name: str, found: Sequence[Trial], marker: Mapping[str, Any]) -> dict[str, Any]:
    points = {"x": [trial.number for trial in found], "y": [_score(trial) for trial in found]}
    hover = {"hovertext": [_hover_text(config, trial) for trial in found], "hoverinfo": "text"}
    return {"type": "scatter", "mode": "markers", "name": name, "marker": dict(marker), **points, **hover}


def _best_so_far(config: SweepConfig, finished: Sequence[Trial], last: int) -> dict[str, Any]:
    """Extends to the last trial, to show how long the best score has not improved."""
    bests = list(accumulate(map(_score, finished), max if config.maximize else min))
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


def _lines(config: SweepConfig, axes: Sequence[Axis], hover: Sequence[str]) -> list[dict[str, Any]]:
    """A trace a shade, with the best trial's on top."""
    shades: dict[int, list[int]] = {shade: [] for shade in range(len(_SHADES))}
    for n, place in enumerate(axes[-1].places[1:], 1):
        good = place if config.maximize else 1 - place
        shades[min(int(good * len(_SHADES)), len(_SHADES) - 1)].append(n)
    lines = [_line(axes, found, hover, _SHADES[shade]) for shade, found in shades.items() if found]
    best = _line(axes, [0], hover, GREEN) | {"name": f"best: {hover[0].split('<br>')[0]}", "showlegend": True}
    return [*lines, best | {"line": {"color": GREEN, "width": 4}}]


def _line(axes: Sequence[Axis], found: Iterable[int], hover: Sequence[str], colour: str) -> dict[str, Any]:
    x, y, texts = list[int | None](), list[float | None](), list[str | None]()
    for n in found:
        x += [*range(len(axes)), None]
        y += [*(axis.places[n] for axis in axes), None]
        texts += [*[hover[n]] * len(axes), None]
    look = {"mode": "lines", "line": {"color": colour, "width": 1.8}, "opacity": 0.85, "showlegend": False}
    return {"type": "scatter", "x": x, "y": y, "hovertext": texts, "hoverinfo": "text", **look}


def _ends(config: SweepConfig, scores: Axis, x: int, hover: Sequence[str]) -> dict[str, Any]:
    """Points on the metric's axis, which also provide the colour scale."""
    last = len(_SHADES) - 1
    scale = [[n / last, shade] for n, shade in enumerate(_SHADES if config.maximize else _SHADES[::-1])]
    bar = {"thickness": 12, "outlinewidth": 0, "title": {"text": escape(cut(scores.name)), "side": "right"}}
    bar |= {"tickvals": [place for place, _ in scores.ticks], "ticktext": [label for _, label in scores.ticks]}
    marker = {"color": list(scores.places), "colorscale": scale, "cmin": 0, "cmax": 1, "size": 7, "colorbar": bar}
    points = {"x": [x] * len(hover), "y": list(scores.places), "hovertext": list(hover), "hoverinfo": "text"}
    return {"type": "scatter", "mode": "markers", "marker": marker, "showlegend": False, **points}


def _rule(x: int) -> dict[str, Any]:
    return {"type": "line", "x0": x, "x1": x, "y0": 0, "y1": 1, "layer": "below", "line": {"color": INK, "width": 1}}


def _words(x: int, axis: Axis) -> list[dict[str, Any]]:
    """An axis's labels and its name, which is shown in full under the pointer."""
    name: dict[str, Any] = {
        "x": x,
        "y": 1,
        "yshift": 24,
        "text": f"<b>{escape(cut(axis.name))}</b>",
        "showarrow": False,
    }
    name["font"] = {"size": 12}
    label = {"x": x, "xshift": -5, "xanchor": "right", "showarrow": False, "font": {"size": 11}, "borderpad": 1}
    label |= {"bgcolor": "rgba(255,255,255,0.6)"}
    ticks = [label | {"y": place, "text": escape(words)} for place, words in axis.ticks]
    return [name | {"hovertext": escape(axis.name)}, *ticks]


def _hover_text(config: SweepConfig, trial: Trial) -> str:
    free = [parameter for parameter in config.parameters if parameter.distribution != "constant"]
    parts = [f"trial {trial.number}", f"{config.metric}: {_score(trial):.5g}"]
    parts += [f"{parameter.name}: {text(parameter.of(trial.config))}" for parameter in free]
    return "<br>".join(escape(cut(part, 80)) for part in parts)


def _score(trial: Trial) -> float:
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
