"""The figures of a report, as Plotly's JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Final

from sailplane.evaluation.details import CalibrationPoint, Details, Estimate, FeatureImportance, Slice, Threshold
from sailplane.sweeps.axes import cut
from sailplane.sweeps.charts import BLUE, GREEN, GREY, INK, ORANGE, RED, RULE, Figure, laid_out

# More bars are unreadable.
MOST_BARS: Final = 20
# A training that logs each batch has more points than a reader can see.
MOST_POINTS: Final = 1000
_COLOURS: Final = {"challenger": BLUE, "champion": ORANGE, "baseline": GREY}
_LINES: Final = (BLUE, ORANGE, GREEN, RED, GREY)


def slices(metric: str, found: Sequence[Slice]) -> Figure:
    """The difference between challenger and champion by value, in red if it is worse than allowed; without a champion,
    the challenger's metric. Slices that were not judged are left out."""
    known = [(part, part.difference or part.challenger) for part in found if part.challenger]
    estimates = [estimate for _, estimate in known if estimate]
    compared = any(part.difference for part, _ in known)
    marker = {"color": [RED if part.worse else BLUE for part, _ in known], "size": 9}
    title = f"{metric}: challenger - champion" if compared else f"{metric} of the challenger"
    trace = _points([_label(f"{part.value} ({part.rows:,})") for part, _ in known], estimates, marker)
    layout = _bar_layout(title, len(known))
    if compared:
        layout["shapes"] = [_vertical_line(0)]
    return {"data": [trace], "layout": layout}


def calibration(points: Sequence[CalibrationPoint]) -> Figure:
    """The observed frequency by predicted probability; a perfect model lies on the diagonal."""
    perfect = {"type": "scatter", "mode": "lines", "name": "perfect", "x": [0, 1], "y": [0, 1], "hoverinfo": "skip"}
    traces = [perfect | {"line": {"color": GREY, "dash": "dot"}}]
    for contender in dict.fromkeys(point.contender for point in points):
        own = [point for point in points if point.contender == contender]
        x, y = [point.predicted for point in own], [point.observed for point in own]
        traces.append(_curve(contender, x, y, _COLOURS[contender], "lines+markers"))
    axis = {"gridcolor": RULE, "zeroline": False, "tickformat": ".0%", "rangemode": "tozero"}
    titles = ("predicted probability", "observed frequency")
    x_axis, y_axis = (axis | {"title": {"text": title}, "automargin": True} for title in titles)
    return {"data": traces, "layout": laid_out(xaxis=x_axis, yaxis=y_axis)}


def thresholds(listed: Sequence[Threshold], best: Threshold | None) -> Figure:
    """Cost per row by threshold, with the cheapest threshold; without costs, precision and recall."""
    at = [row.threshold for row in listed]
    if best is None:
        known = [row for row in listed if row.precision is not None]
        data = [
            _curve("recall", at, [row.recall for row in listed], BLUE, "lines"),
            _curve(
                "precision", [row.threshold for row in known], [row.precision or 0 for row in known], ORANGE, "lines"
            ),
        ]
        return {"data": data, "layout": _by_threshold("share", rangemode="tozero")}
    data = [_curve("cost per row", at, [row.cost or 0 for row in listed], BLUE, "lines")]
    cheapest = _curve("cheapest", [best.threshold], [best.cost or 0], GREEN, "markers")
    data.append(cheapest | {"marker": {"color": GREEN, "size": 12, "symbol": "diamond"}})
    return {"data": data, "layout": _by_threshold("cost per row", rangemode="tozero")}


def importance(metric: str, found: Sequence[FeatureImportance]) -> Figure:
    """How much worse the metric gets when a column is shuffled, by column, the largest on top."""
    shown = found[:MOST_BARS]
    names = [_label(feature.column) for feature in shown]
    bar: dict[str, Any] = {"type": "bar", "orientation": "h", "y": names, "x": [feature.mean for feature in shown]}
    bar["error_x"] = {"type": "data", "array": [feature.deviation for feature in shown], "color": INK, "thickness": 1}
    bar |= {"marker": {"color": BLUE}, "hovertemplate": "%{y}: %{x:.4f}<extra></extra>"}
    layout = _bar_layout(f"{metric} lost when the column is shuffled", len(shown))
    return {"data": [bar], "layout": layout | {"bargap": 0.35}}


def history(name: str, rows: Sequence[Mapping[str, Any]]) -> Figure:
    """A metric that the training logged, by step."""
    known = [row for row in rows if is_number(row.get(name))]
    known = known[:: math.ceil(len(known) / MOST_POINTS)]
    mode = "lines" if len(known) > 1 else "markers"
    line = _curve(name, [row["step"] for row in known], [row[name] for row in known], BLUE, mode)
    x_axis = {"title": {"text": "step"}, "gridcolor": RULE, "zeroline": False}
    y_axis = {"gridcolor": RULE, "zeroline": False, "automargin": True, "title": {"text": _label(name)}}
    return {"data": [line], "layout": laid_out(xaxis=x_axis, yaxis=y_axis) | {"height": 300, "showlegend": False}}


def is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def slices_by_column(details: Details) -> dict[str, tuple[Slice, ...]]:
    """The slices, by column."""
    columns = dict.fromkeys(part.column for part in details.slices)
    return {column: tuple(part for part in details.slices if part.column == column) for column in columns}


def _points(names: Sequence[str], estimates: Sequence[Estimate], marker: Mapping[str, Any]) -> dict[str, Any]:
    values = [estimate.value for estimate in estimates]
    over = [0 if known.high is None else max(known.high - known.value, 0) for known in estimates]
    under = [0 if known.low is None else max(known.value - known.low, 0) for known in estimates]
    error = {"type": "data", "symmetric": False, "array": over, "arrayminus": under, "color": INK, "thickness": 1.2}
    hovers = [f"{name}: {value:+.4f}" for name, value in zip(names, values, strict=True)]
    points = {"x": values, "y": list(names), "error_x": error, "hovertext": hovers, "hoverinfo": "text"}
    return {"type": "scatter", "mode": "markers", "marker": dict(marker), **points}


def _curve(name: str, x: Sequence[float], y: Sequence[float], colour: str, mode: str) -> dict[str, Any]:
    look = {"line": {"color": colour, "width": 2}, "marker": {"color": colour, "size": 7}, "mode": mode}
    return {"type": "scatter", "name": _label(name), "x": list(x), "y": list(y), **look}


def _bar_layout(title: str, bars: int) -> Figure:
    x_axis = {"title": {"text": _label(title, 60)}, "gridcolor": RULE, "zeroline": False, "nticks": 5}
    y_axis = {"type": "category", "autorange": "reversed", "automargin": True, "ticksuffix": " ", "gridcolor": RULE}
    layout = laid_out(xaxis=x_axis, yaxis=y_axis)
    return layout | {"height": 120 + 26 * bars, "showlegend": False, "margin": {"l": 20, "r": 20, "t": 10, "b": 55}}


def _by_threshold(title: str, **axis: Any) -> Figure:
    x_axis = {"title": {"text": "threshold"}, "range": [0, 1], "gridcolor": RULE, "zeroline": False}
    y_axis = {"title": {"text": title}, "gridcolor": RULE, "zeroline": False, "automargin": True, **axis}
    return laid_out(xaxis=x_axis, yaxis=y_axis)


def _vertical_line(x: float) -> dict[str, Any]:
    return {"type": "line", "x0": x, "x1": x, "yref": "paper", "y0": 0, "y1": 1, "line": {"color": INK, "width": 1}}


def _label(words: str, most: int = 40) -> str:
    """Plotly reads some HTML in its labels."""
    return escape(cut(words, most))
