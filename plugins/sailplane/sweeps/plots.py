"""A sweep as one HTML page that needs nothing else: no server, no network. Values in, text out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Final

from sailplane.records import Trial
from sailplane.sweeps import charts
from sailplane.sweeps.importance import Importance, no_importance
from sailplane.sweeps.results import ranked
from sailplane.sweeps.rungs import warning
from sailplane.sweeps.space import SweepConfig

Rows = Sequence[Sequence[str]]

_STYLE: Final = """\
body { margin: 2rem auto; max-width: 75rem; padding: 0 1rem; font: 15px/1.5 system-ui, sans-serif; color: #243B53; }
h1 { margin-bottom: 0; overflow-wrap: anywhere; }
h2 { margin: 2.5rem 0 0.5rem; }
.wide { overflow: auto; }
.long { max-height: 30rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: 0.2rem 0.8rem; text-align: right; border-bottom: 1px solid #D9E2EC; white-space: nowrap; }
th { position: sticky; top: 0; background: white; }
tbody tr:first-child { background: #E3F5EE; }
details { margin-top: 0.8rem; }
.warning { border-left: 4px solid #D55E00; padding: 0.3rem 0.8rem; background: #FBEFE7; }
li { overflow-wrap: anywhere; white-space: pre-wrap; }
"""


def page(
    name: str,
    state: str,
    config: SweepConfig,
    trials: Sequence[Trial],
    *,
    leaderboard: Rows,
    importances: Mapping[str, Importance],
    failures: Mapping[int, str],
) -> str:
    """`state`: how many trials finished, in words. The first row of `leaderboard` has its titles. `trials` by number,
    `failures` has the reasons by the trial's number."""
    from plotly.offline import get_plotlyjs  # takes a moment, which only this command should

    parts = [
        f"<h1>{escape(name)}</h1>",
        f"<p>{escape(state)}; to {config.goal} <b>{escape(config.metric)}</b></p>",
        *_leaderboard(leaderboard),
        *_failures(failures),
        *_charts(config, tuple(trials), importances, failures),
    ]
    head = f'<meta charset="utf-8"><title>{escape(name)}</title><style>{_STYLE}</style>'
    script = f"<script>{get_plotlyjs()}</script>"
    body = "\n".join(parts)
    return f'<!doctype html>\n<html lang="en"><head>{head}\n{script}</head>\n<body>\n{body}\n</body></html>\n'


def _charts(
    config: SweepConfig, trials: tuple[Trial, ...], importances: Mapping[str, Importance], failures: Mapping[int, str]
) -> list[str]:
    leaders = ranked(config, trials)
    parts = ["<h2>History</h2>"]
    if not leaders:
        parts.append("<p>No trial has finished yet.</p>")
    if any(trial.state != "running" for trial in trials):
        parts.append(_drawn("history", charts.history(config, trials, failures)))
    if any(trial.values for trial in trials):
        best = leaders[0] if leaders else None
        parts += ["<h2>Learning curves</h2>", _drawn("curves", charts.curves(config, trials, best))]
    if doubt := warning(config, trials):
        parts.append(f'<p class="warning">{escape(doubt)}</p>')
    if all(parameter.distribution == "constant" for parameter in config.parameters):
        return [*parts, "<h2>Parameters</h2>", "<p>All of them are constant.</p>"]
    if leaders:
        parts += ["<h2>Parameters</h2>", _drawn("parameters", charts.parallel(config, leaders))]
    return [*parts, "<h2>Importance</h2>", *_importance(config, trials, importances)]


def _importance(config: SweepConfig, trials: Sequence[Trial], importances: Mapping[str, Importance]) -> list[str]:
    if not importances:
        return [f"<p>Nothing can be said of it: {no_importance(config, trials)}.</p>"]
    return [_drawn("importance", charts.bars(importances)), *_explained(importances)]


def _explained(importances: Mapping[str, Importance]) -> list[str]:
    chance = next(iter(importances.values())).chance
    told = "Each bar is the share of the scores' variance that a parameter explains alone; its whisker spans 90% of the"
    told += (
        " trees, each grown on a resample of the trials. If no parameter mattered, the largest share would stay below"
    )
    told += f" {chance:.0%} in 95% of sweeps."
    noise = [name for name, one in importances.items() if one.is_noise]
    cannot = f" Not distinguishable from noise: {escape(', '.join(noise))}." if noise else ""
    return [f"<p>{told}{cannot}</p>"]


def _drawn(place: str, figure: charts.Figure) -> str:
    from plotly.io import to_html

    options = {"displaylogo": False, "responsive": True}
    drawn: str = to_html(figure, config=options, include_plotlyjs=False, full_html=False, validate=False, div_id=place)
    return f'<div class="wide">{drawn}</div>'


def _leaderboard(rows: Rows) -> list[str]:
    titles, *leaders = rows
    if not leaders:
        return []
    head = "".join(f"<th>{escape(title)}</th>" for title in titles)
    body = "\n".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in leaders)
    table = f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table>"
    return ["<h2>Leaderboard</h2>", f'<div class="wide long">{table}</div>']


def _failures(failures: Mapping[int, str]) -> list[str]:
    if not failures:
        return []
    told = "\n".join(f"<li>trial {number}: {escape(reason)}</li>" for number, reason in failures.items())
    count = "1 trial" if len(failures) == 1 else f"{len(failures)} trials"
    return [f"<details><summary>{count} failed</summary><ul>\n{told}\n</ul></details>"]
