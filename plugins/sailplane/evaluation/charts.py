"""A report's pictures as Plotly's own JSON: values in, figures out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Final

from sailplane.evaluation.details import CalibrationPoint, Details, Estimate, FeatureImportance, Slice, Threshold
from sailplane.sweeps.axes import cut
from sailplane.sweeps.charts import BLUE, GREEN, GREY, INK, ORANGE, RED, RULE, Figure, laid_out

# More bars are no picture.
MOST_BARS: Final = 20
# A training that logs each batch has more than anybody sees.
MOST_POINTS: Final = 1000
_COLOURS: Final = {"challenger": BLUE, "champion": ORANGE, "baseline": GREY}
_LINES: Final = (BLUE, ORANGE, GREEN, RED, GREY)


def slices(metric: str, found: Sequence[Slice]) -> Figure:
    """The challenger's difference to the champion by value, those that are worse than allowed in red; where there is no
    champion, the challenger's metric. Slices that were not judged have none."""
    known = [(one, one.difference or one.challenger) for one in found if one.challenger]
    estimates = [estimate for _, estimate in known if estimate]
    compared = any(one.difference for one, _ in known)
    marker = {"color": [RED if one.worse else BLUE for one, _ in known], "size": 9}
    title = f"{metric}: challenger - champion" if compared else f"{metric} of the challenger"
    trace = _points([_label(f"{one.value} ({one.rows:,})") for one, _ in known], estimates, marker)
    layout = _barred(title, len(known))
    if compared:
        layout["shapes"] = [_upright(0)]
    return {"data": [trace], "layout": layout}


def calibration(points: Sequence[CalibrationPoint]) -> Figure:
    """How often what was said came true, by how probable it was said to be; the diagonal is perfect."""
    perfect = {"type": "scatter", "mode": "lines", "name": "perfect", "x": [0, 1], "y": [0, 1], "hoverinfo": "skip"}
    traces = [perfect | {"line": {"color": GREY, "dash": "dot"}}]
    for contender in dict.fromkeys(point.contender for point in points):
        own = [point for point in points if point.contender == contender]
        x, y = [point.predicted for point in own], [point.observed for point in own]
        traces.append(_curve(contender, x, y, _COLOURS[contender], "lines+markers"))
    axis = {"gridcolor": RULE, "zeroline": False, "tickformat": ".0%", "rangemode": "tozero"}
    titles = ("probability that the model gave", "how often it was so")
    x_axis, y_axis = (axis | {"title": {"text": title}, "automargin": True} for title in titles)
    return {"data": traces, "layout": laid_out(xaxis=x_axis, yaxis=y_axis)}


def thresholds(listed: Sequence[Threshold], best: Threshold | None) -> Figure:
    """Cost per row by threshold, with the cheapest; without costs precision and recall."""
    at = [one.threshold for one in listed]
    if best is None:
        known = [one for one in listed if one.precision is not None]
        data = [
            _curve("recall", at, [one.recall for one in listed], BLUE, "lines"),
            _curve(
                "precision", [one.threshold for one in known], [one.precision or 0 for one in known], ORANGE, "lines"
            ),
        ]
        return {"data": data, "layout": _by_threshold("share", rangemode="tozero")}
    data = [_curve("cost per row", at, [one.cost or 0 for one in listed], BLUE, "lines")]
    cheapest = _curve("cheapest", [best.threshold], [best.cost or 0], GREEN, "markers")
    data.append(cheapest | {"marker": {"color": GREEN, "size": 12, "symbol": "diamond"}})
    return {"data": data, "layout": _by_threshold("cost per row", rangemode="tozero")}


def importance(metric: str, found: Sequence[FeatureImportance]) -> Figure:
    """How much worse the metric gets without each column's values, the largest on top."""
    shown = found[:MOST_BARS]
    names = [_label(one.column) for one in shown]
    bar: dict[str, Any] = {"type": "bar", "orientation": "h", "y": names, "x": [one.mean for one in shown]}
    bar["error_x"] = {"type": "data", "array": [one.deviation for one in shown], "color": INK, "thickness": 1}
    bar |= {"marker": {"color": BLUE}, "hovertemplate": "%{y}: %{x:.4f}<extra></extra>"}
    layout = _barred(f"{metric} lost when the column is shuffled", len(shown))
    return {"data": [bar], "layout": layout | {"bargap": 0.35}}


def history(name: str, rows: Sequence[Mapping[str, Any]]) -> Figure:
    """One metric that the training logged, by step."""
    known = [row for row in rows if is_number(row.get(name))]
    known = known[:: math.ceil(len(known) / MOST_POINTS)]
    mode = "lines" if len(known) > 1 else "markers"
    line = _curve(name, [row["step"] for row in known], [row[name] for row in known], BLUE, mode)
    x_axis = {"title": {"text": "step"}, "gridcolor": RULE, "zeroline": False}
    y_axis = {"gridcolor": RULE, "zeroline": False, "automargin": True, "title": {"text": _label(name)}}
    return {"data": [line], "layout": laid_out(xaxis=x_axis, yaxis=y_axis) | {"height": 300, "showlegend": False}}


def is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def of_slices(details: Details) -> dict[str, tuple[Slice, ...]]:
    """The slices by their column."""
    columns = dict.fromkeys(one.column for one in details.slices)
    return {column: tuple(one for one in details.slices if one.column == column) for column in columns}


def _points(names: Sequence[str], estimates: Sequence[Estimate], marker: Mapping[str, Any]) -> dict[str, Any]:
    values = [one.value for one in estimates]
    over = [0 if one.high is None else max(one.high - one.value, 0) for one in estimates]
    under = [0 if one.low is None else max(one.value - one.low, 0) for one in estimates]
    error = {"type": "data", "symmetric": False, "array": over, "arrayminus": under, "color": INK, "thickness": 1.2}
    told = [f"{name}: {value:+.4f}" for name, value in zip(names, values, strict=True)]
    points = {"x": values, "y": list(names), "error_x": error, "hovertext": told, "hoverinfo": "text"}
    return {"type": "scatter", "mode": "markers", "marker": dict(marker), **points}


def _curve(name: str, x: Sequence[float], y: Sequence[float], colour: str, mode: str) -> dict[str, Any]:
    look = {"line": {"color": colour, "width": 2}, "marker": {"color": colour, "size": 7}, "mode": mode}
    return {"type": "scatter", "name": _label(name), "x": list(x), "y": list(y), **look}


def _barred(title: str, bars: int) -> Figure:
    x_axis = {"title": {"text": _label(title, 60)}, "gridcolor": RULE, "zeroline": False, "nticks": 5}
    y_axis = {"type": "category", "autorange": "reversed", "automargin": True, "ticksuffix": " ", "gridcolor": RULE}
    layout = laid_out(xaxis=x_axis, yaxis=y_axis)
    return layout | {"height": 120 + 26 * bars, "showlegend": False, "margin": {"l": 20, "r": 20, "t": 10, "b": 55}}


def _by_threshold(title: str, **axis: Any) -> Figure:
    x_axis = {"title": {"text": "threshold"}, "range": [0, 1], "gridcolor": RULE, "zeroline": False}
    y_axis = {"title": {"text": title}, "gridcolor": RULE, "zeroline": False, "automargin": True, **axis}
    return laid_out(xaxis=x_axis, yaxis=y_axis)


def _upright(x: float) -> dict[str, Any]:
    return {"type": "line", "x0": x, "x1": x, "yref": "paper", "y0": 0, "y1": 1, "line": {"color": INK, "width": 1}}


def _label(words: str, most: int = 40) -> str:
    """Plotly reads some HTML in its labels."""
    return escape(cut(words, most))
