"""A sweep's parallel coordinates as Plotly JSON: a line for each trial, through its parameters to its score."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any, Final

from sailplane.records import Trial
from sailplane.sweeps.axes import Axis, cut, is_wide, number_axis, parameter_axis
from sailplane.sweeps.charts import GREEN, INK, Figure, hover_text, laid_out, score_of
from sailplane.sweeps.space import SweepConfig

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
# In CSS px; with less, the labels of two axes overlap.
AXIS_WIDTH: Final = 160


def parallel(config: SweepConfig, leaders: Sequence[Trial]) -> Figure:
    """A line for each trial through its values of the free parameters to its score; `leaders` are sorted, best first.

    It is drawn with plain lines, because Plotly's own `parcoords` does not show which trial a line is, needs WebGL, and
    allows custom tick labels, which a logarithmic axis needs, only for choices.
    """
    free = [parameter for parameter in config.parameters if parameter.distribution != "constant"]
    scores = [score_of(trial) for trial in leaders]
    axes = [parameter_axis(parameter, [parameter.of(trial.config) for trial in leaders]) for parameter in free]
    axes.append(number_axis(config.metric, scores, log=is_wide(scores)))
    hover = [hover_text(config, trial) for trial in leaders]
    layout = laid_out(
        xaxis={"visible": False, "range": [-0.1, len(axes) - 0.9], "fixedrange": True},
        yaxis={"visible": False, "range": [-0.03, 1.03], "fixedrange": True},
        shapes=[_rule(n) for n in range(len(axes))],
        annotations=[label for n, axis in enumerate(axes) for label in _labels(n, axis)],
    )
    layout |= {"margin": {"l": 130, "r": 20, "t": 50, "b": 50}, "height": 460}
    layout["legend"] = {"x": 0, "y": -0.03, "yanchor": "top"}
    if len(axes) > 7:
        layout["width"] = len(axes) * AXIS_WIDTH
    return {"data": [*_lines(config, axes, hover), _ends(config, axes[-1], len(axes) - 1, hover)], "layout": layout}


def _lines(config: SweepConfig, axes: Sequence[Axis], hover: Sequence[str]) -> list[dict[str, Any]]:
    """A trace for each shade, and the best trial's line on top."""
    shades: dict[int, list[int]] = {shade: [] for shade in range(len(_SHADES))}
    for n, position in enumerate(axes[-1].positions[1:], 1):
        good = position if config.maximize else 1 - position
        shades[min(int(good * len(_SHADES)), len(_SHADES) - 1)].append(n)
    lines = [_line(axes, found, hover, _SHADES[shade]) for shade, found in shades.items() if found]
    best = _line(axes, [0], hover, GREEN) | {"name": f"best: {hover[0].split('<br>')[0]}", "showlegend": True}
    return [*lines, best | {"line": {"color": GREEN, "width": 4}}]


def _line(axes: Sequence[Axis], found: Iterable[int], hover: Sequence[str], colour: str) -> dict[str, Any]:
    x, y, texts = list[int | None](), list[float | None](), list[str | None]()
    for n in found:
        x += [*range(len(axes)), None]
        y += [*(axis.positions[n] for axis in axes), None]
        texts += [*[hover[n]] * len(axes), None]
    look = {"mode": "lines", "line": {"color": colour, "width": 1.8}, "opacity": 0.85, "showlegend": False}
    return {"type": "scatter", "x": x, "y": y, "hovertext": texts, "hoverinfo": "text", **look}


def _ends(config: SweepConfig, scores: Axis, x: int, hover: Sequence[str]) -> dict[str, Any]:
    """Points on the metric's axis, which also provide the colour scale."""
    last = len(_SHADES) - 1
    scale = [[n / last, shade] for n, shade in enumerate(_SHADES if config.maximize else _SHADES[::-1])]
    bar = {"thickness": 12, "outlinewidth": 0, "title": {"text": escape(cut(scores.name)), "side": "right"}}
    bar |= {"tickvals": [position for position, _ in scores.ticks], "ticktext": [label for _, label in scores.ticks]}
    marker = {"color": list(scores.positions), "colorscale": scale, "cmin": 0, "cmax": 1, "size": 7, "colorbar": bar}
    points = {"x": [x] * len(hover), "y": list(scores.positions), "hovertext": list(hover), "hoverinfo": "text"}
    return {"type": "scatter", "mode": "markers", "marker": marker, "showlegend": False, **points}


def _rule(x: int) -> dict[str, Any]:
    return {"type": "line", "x0": x, "x1": x, "y0": 0, "y1": 1, "layer": "below", "line": {"color": INK, "width": 1}}


def _labels(x: int, axis: Axis) -> list[dict[str, Any]]:
    """An axis's labels and its name, which is shown in full under the pointer."""
    name: dict[str, Any] = {
        "x": x,
        "y": 1,
        "yshift": 24,
        "text": f"<b>{escape(cut(axis.name))}</b>",
        "showarrow": False,
    }
    name["font"] = {"size": 12}
    style = {"x": x, "xshift": -5, "xanchor": "right", "showarrow": False, "font": {"size": 11}, "borderpad": 1}
    style |= {"bgcolor": "rgba(255,255,255,0.6)"}
    ticks = [style | {"y": position, "text": escape(label)} for position, label in axis.ticks]
    return [name | {"hovertext": escape(axis.name)}, *ticks]
