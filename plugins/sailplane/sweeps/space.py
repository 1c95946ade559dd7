"""The configuration of a sweep, from a W&B sweep file. Unsupported settings are errors."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import Any, Final, Literal

from sailplane.durations import seconds
from sailplane.errors import ConfigurationError
from sailplane.records import Record
from sailplane.sweeps import unused_settings
from sailplane.sweeps.document import Section
from sailplane.sweeps.parameters import Parameter
from sailplane.sweeps.reading import read_parameters
from sailplane.sweeps.stopping import EarlyStopping, read_asha, read_early_terminate

Goal = Literal["minimize", "maximize"]
METHODS: Final = ("random", "grid", "bayes", "custom")
EXTENSION: Final = "sailplane"
_KEYS: Final = ("method", "metric", "metrics", "parameters", "run_cap", "early_terminate", "name", "description")
_IMPUTE: Final = ("worst", "best", "latest")


@dataclass(frozen=True, kw_only=True)
class SweepConfig(Record):
    """The settings of a sweep. `metric` names the score of the trials, for example validation_auc; the sweep ends with
    the first trial that reaches `target`. `impute` is bayes' score for a failed trial, `impute_while_running` for a
    running trial with reported values ("false": none). `max_time` of the sweep and `max_trial_time` of each trial are
    in seconds. `workers` applies unless the DAG gives a number."""

    method: str
    metric: str
    goal: Goal
    parameters: tuple[Parameter, ...]
    target: float | None = None
    impute: str = "worst"
    impute_while_running: str = "false"
    stopping: EarlyStopping | None = None
    run_cap: int | None = None
    seed: int | None = None
    max_time: float | None = None
    max_trial_time: float | None = None
    workers: int | None = None
    name: str | None = None

    @property
    def maximize(self) -> bool:
        return self.goal == "maximize"

    def reached(self, score: float | None) -> bool:
        """Whether the score reaches the target."""
        if self.target is None or score is None:
            return False
        return score >= self.target if self.maximize else score <= self.target

    @property
    def size(self) -> int | None:
        """The maximal number of trials; None if unlimited."""
        if self.method != "grid":
            return self.run_cap
        points = math.prod(len(parameter.grid() or ()) for parameter in self.parameters)
        return min(points, self.run_cap or points)


def parse(text: str, file: str = "sweep.yaml") -> SweepConfig:
    """The configuration in the text of a sweep file. Errors name `file`."""
    return read_config(Section.parse(text, file))


def read_config(document: Section) -> SweepConfig:
    """The configuration in a sweep file. Raises SweepFileError with the file's name, the line and the reason."""
    document.allow((*_KEYS, EXTENSION, *unused_settings.UNUSED))
    unused_settings.check(document)
    document.require("method", "parameters")
    method = document.choice("method", METHODS)
    parameters = read_parameters(document.section("parameters"))
    if repeated := [name for name, count in Counter(p.name for p in parameters).items() if count > 1]:
        raise document.wrong("parameters", f"two parameters have the name {repeated[0]!r}, one of them nested")
    if method == "grid":
        _check_grid(document, parameters)
    return SweepConfig(
        # At W&B an external scheduler chooses the trials of a sweep with method custom.
        method="bayes" if method == "custom" else method,
        **_objective(document, method),
        parameters=parameters,
        run_cap=document.whole("run_cap", at_least=1) if "run_cap" in document else None,
        name=_text(document, "name") or _text(document, "description"),
        **_rules(document),
    )


def _objective(document: Section, method: str) -> dict[str, Any]:
    if "metrics" not in document:
        if "metric" in document:
            return _metric(document.section("metric"))
        return {"metric": unused_settings.METRIC["name"], "goal": unused_settings.METRIC["goal"]}
    if "metric" in document:
        raise document.wrong("metrics", "the file has both metric and metrics", expected="one of them")
    if method != "custom":
        raise document.wrong("metrics", f"metrics with method {method}", expected="one `metric`, or method custom")
    found = [_metric(section) for section in document.sections("metrics")]
    if len(found) < 2:
        remedy = "Use `metric` for a single metric."
        raise document.wrong("metrics", f"metrics has {len(found)}", expected="two or more", remedy=remedy)
    return found[0]


def _metric(metric: Section) -> dict[str, Any]:
    metric.allow(("name", "goal", "target", "impute", "impute_while_running"))
    metric.require("name")
    target = metric.get("target")
    if target is not None and (isinstance(target, bool) or not isinstance(target, (int, float))):
        raise metric.wrong("target", f"target is {target!r}", expected="a number")
    while_running = metric.get("impute_while_running", "false")
    return {
        "metric": _name(metric),
        "goal": metric.choice("goal", ("minimize", "maximize"), default="minimize"),
        "target": target,
        "impute": metric.choice("impute", _IMPUTE, default="worst"),
        # YAML reads a bare false as a boolean.
        "impute_while_running": "false"
        if while_running is False
        else metric.choice("impute_while_running", (*_IMPUTE, "false"), default="false"),
    }


def _name(metric: Section) -> str:
    name = _text(metric, "name")
    if not name:
        raise metric.wrong("name", f"name is {name!r}", expected="the name of a logged metric")
    return name


def _rules(document: Section) -> dict[str, Any]:
    """The early stopping rules, and the settings under the key `sailplane`."""
    rules: dict[str, Any] = {}
    if "early_terminate" in document:
        rules["stopping"] = read_early_terminate(document.section("early_terminate"))
    if EXTENSION not in document:
        return rules
    extension = document.section(EXTENSION)
    extension.allow(("seed", "max_time", "max_trial_time", "workers", "asha"))
    if "asha" in extension:
        if "stopping" in rules:
            raise extension.wrong("asha", "both asha and early_terminate", expected="one of them")
        rules["stopping"] = read_asha(extension.section("asha"))
    for key, least in (("seed", 0), ("workers", 1)):
        if key in extension:
            rules[key] = extension.whole(key, at_least=least)
    for key in ("max_time", "max_trial_time"):
        if key in extension:
            rules[key] = _seconds(extension, key)
    return rules


def _seconds(extension: Section, key: str) -> float:
    value = extension.get(key)
    try:
        return seconds(value, of=key)
    except ConfigurationError:
        raise extension.wrong(key, f"{key} is {value!r}", expected="a time such as 90s, 30m, 1.5h or 1d") from None


def _text(section: Section, key: str) -> str | None:
    value = section.get(key)
    if value is not None and not isinstance(value, str):
        raise section.wrong(key, f"{key} is {value!r}", expected="a string")
    return value if value and value.strip() else None


def _check_grid(document: Section, parameters: tuple[Parameter, ...]) -> None:
    for parameter in parameters:
        if parameter.grid() is None:
            raise document.wrong(
                "parameters",
                f"method grid, but {parameter.name!r} is {parameter.distribution}",
                expected="value, values, int_uniform or q_uniform",
                remedy="Use method random or bayes, or list the values.",
            )
