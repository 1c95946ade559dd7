"""A sweep as one HTML page, templates/sweep.html, that needs neither a server nor a network. Values in, text out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sailplane.records import Trial
from sailplane.sweeps import charts
from sailplane.sweeps.importance import ParameterImportance, no_importance
from sailplane.sweeps.parallel_chart import parallel
from sailplane.sweeps.results import ranked
from sailplane.sweeps.rungs import warning
from sailplane.sweeps.space import SweepConfig
from sailplane.templates import render

Rows = Sequence[Sequence[str]]


def page(
    name: str,
    state: str,
    config: SweepConfig,
    trials: Sequence[Trial],
    *,
    leaderboard: Rows,
    importances: Mapping[str, ParameterImportance],
    failures: Mapping[int, str],
) -> str:
    """The page. `state` describes how many trials finished. The first row of `leaderboard` is its header. `trials` are
    sorted by number, `failures` has the reasons by trial number."""
    from plotly.offline import get_plotlyjs  # slow to import, and only this command needs it

    known = tuple(trials)
    figures = _figures(config, known, importances, failures)
    return render(
        "sweeps",
        "sweep.html",
        library=get_plotlyjs(),
        name=name,
        state=state,
        config=config,
        titles=leaderboard[0],
        leaders=leaderboard[1:],
        failures=failures,
        finished=ranked(config, known),
        figures={name: _drawn(name, figure) for name, figure in figures.items()},
        doubt=warning(config, known),
        constant=_is_constant(config),
        importances=importances,
        noise=[parameter for parameter, found in importances.items() if found.is_noise],
        no_importance="" if importances else no_importance(config, known),
    )


def _figures(
    config: SweepConfig,
    trials: tuple[Trial, ...],
    importances: Mapping[str, ParameterImportance],
    failures: Mapping[int, str],
) -> dict[str, charts.Figure]:
    leaders, figures = ranked(config, trials), dict[str, charts.Figure]()
    if any(trial.state != "running" for trial in trials):
        figures["history"] = charts.history(config, trials, failures)
    if any(trial.values for trial in trials):
        figures["curves"] = charts.curves(config, trials, leaders[0] if leaders else None)
    if leaders and not _is_constant(config):
        figures["parameters"] = parallel(config, leaders)
    if importances:
        figures["importance"] = charts.bars(importances)
    return figures


def _is_constant(config: SweepConfig) -> bool:
    return all(parameter.distribution == "constant" for parameter in config.parameters)


def _drawn(div: str, figure: charts.Figure) -> str:
    from plotly.io import to_html

    options = {"displaylogo": False, "responsive": True}
    drawn: str = to_html(figure, config=options, include_plotlyjs=False, full_html=False, validate=False, div_id=div)
    return drawn
