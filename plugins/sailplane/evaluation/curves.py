"""A backtest as a self-contained HTML page."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any, Final

from sailplane.evaluation.backtested import Backtest
from sailplane.evaluation.markup import document
from sailplane.sweeps.charts import BLUE, GREEN, GREY, INK, ORANGE, RED, RULE, Figure, laid_out

_LINES: Final = (
    ("pipeline", BLUE, "the pipeline: each day's model"),
    ("champion", GREEN, "what the gate would have served"),
    ("frozen", ORANGE, "the first day's model"),
    ("baseline", GREY, "the baseline"),
)


def page(backtest: Backtest, summary: str, rows: Sequence[Sequence[str]]) -> str:
    """`summary` is in words; `rows` are the rows of the table, the titles first."""
    title = f"{backtest.model}: {backtest.metric} day by day"
    return document(
        "backtest.html", title, {"curves": figure(backtest)}, summary=summary, titles=rows[0], rows=rows[1:]
    )


def figure(backtest: Backtest) -> Figure:
    """A line for each model that has values, and a star on each day that ships."""
    lines = [_line(backtest, name, colour, title) for name, colour, title in _LINES]
    layout = laid_out(
        xaxis={"type": "date", "linecolor": INK, "showgrid": False, "ticks": "outside"},
        yaxis={"title": {"text": escape(backtest.metric)}, "gridcolor": RULE, "zeroline": False, "automargin": True},
    )
    known = [line for line in lines if any(value is not None for value in line["y"])]
    return {"data": [*known, _ships(backtest)], "layout": layout | {"hovermode": "x unified"}}


def _line(backtest: Backtest, name: str, colour: str, title: str) -> dict[str, Any]:
    look = {"type": "scatter", "mode": "lines+markers", "name": title, "line": {"color": colour, "width": 2}}
    return look | {"x": _days(backtest), "y": backtest.curve(name), "hovertemplate": "%{y:.4f}"}


def _ships(backtest: Backtest) -> dict[str, Any]:
    curve = zip(backtest.days, _days(backtest), backtest.curve("pipeline"), strict=True)
    ships = [(date, value) for day, date, value in curve if day.ships]
    points = {"x": [date for date, _ in ships], "y": [value for _, value in ships], "hoverinfo": "skip"}
    marker = {"symbol": "star", "size": 13, "color": RED}
    return {"type": "scatter", "mode": "markers", "name": "ships", "marker": marker, **points}


def _days(backtest: Backtest) -> list[str]:
    return [f"{day.day:%Y-%m-%d}" for day in backtest.days]
