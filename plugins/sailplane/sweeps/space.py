"""A W&B sweep file as values. What it asks and this platform cannot do is an error, never silence."""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

from sailplane.errors import SweepFileError
from sailplane.records import Record
from sailplane.sweeps.document import Section
from sailplane.sweeps.parameters import Parameter
from sailplane.sweeps.reading import read_parameters
from sailplane.sweeps.stopping import EarlyStopping, read_asha, read_early_terminate

Goal = Literal["minimize", "maximize"]
METHODS: Final = ("random", "grid", "bayes")
EXTENSION: Final = "sailplane"
_KEYS: Final = ("method", "metric", "parameters", "run_cap", "early_terminate", "name", "description", EXTENSION)
# Keys of W&B's own schema that a DAG, or the environment, says already, or which only W&B's own server can do.
_REFUSED: Final = {
    "program": "The DAG names the train function: remove it.",
    "command": "The DAG names the train function: remove it.",
    "project": "The DAG names the project: remove it.",
    "entity": "WANDB_ENTITY names it: remove it.",
    "metrics": "Name one `metric`.",
    **dict.fromkeys(("controller", "scheduler", "job", "image_uri", "kind", "apiVersion"), "Remove it."),
}
_IMPUTE: Final = ("worst", "best", "latest")
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True, kw_only=True)
class SweepConfig(Record):
    """`metric` is the name that a trial's scores have, for example validation_auc; the sweep ends with the first trial
    that reaches `target`. `impute`: the score that bayes takes for a failed trial; `impute_while_running`: for one that
    runs and has reported values ("false": none). `max_time` of the sweep and `max_trial_time` of each trial in seconds.
    `workers`: how many, where nobody else says."""

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
        """Whether that is what the sweep looks for."""
        if self.target is None or score is None:
            return False
        return score >= self.target if self.maximize else score <= self.target

    @property
    def size(self) -> int | None:
        """How many trials there can be, None without an end."""
        if self.method != "grid":
            return self.run_cap
        points = math.prod(len(parameter.grid() or ()) for parameter in self.parameters)
        return min(points, self.run_cap or points)


def read_sweep(path: Path, run_cap: int | None = None) -> SweepConfig:
    """`run_cap` overrules the file's. Raises SweepFileError with the file's name, the line and the reason."""
    if not path.is_file():
        raise SweepFileError("read sweep file", path, got="no such file")
    config = parse(path.read_text(encoding="utf-8"), path.name)
    return replace(config, run_cap=run_cap) if run_cap else config


def parse(text: str, file: str = "sweep.yaml") -> SweepConfig:
    document = Section.parse(text, file)
    for key in document.names():
        if key in _REFUSED:
            raise document.wrong(key, f"{key!r} is not supported", remedy=_REFUSED[key])
    document.allow(_KEYS)
    document.require("method", "metric", "parameters")
    method = document.choice("method", METHODS)
    parameters = read_parameters(document.section("parameters"))
    if twice := [name for name, count in Counter(p.name for p in parameters).items() if count > 1]:
        raise document.wrong("parameters", f"two parameters are called {twice[0]!r}, one of them by nesting")
    if method == "grid":
        _check_grid(document, parameters)
    return SweepConfig(
        method=method,
        **_metric(document.section("metric")),
        parameters=parameters,
        run_cap=document.whole("run_cap", at_least=1) if "run_cap" in document else None,
        name=_text(document, "name") or _text(document, "description"),
        **_rules(document),
    )


def _metric(metric: Section) -> dict[str, Any]:
    metric.allow(("name", "goal", "target", "impute", "impute_while_running"))
    metric.require("name")
    target = metric.get("target")
    if target is not None and (isinstance(target, bool) or not isinstance(target, (int, float))):
        raise metric.wrong("target", f"target is {target!r}", expected="a number")
    while_running = metric.get("impute_while_running", "false")
    return {
        "metric": _text(metric, "name"),
        "goal": metric.choice("goal", ("minimize", "maximize"), default="minimize"),
        "target": target,
        "impute": metric.choice("impute", _IMPUTE, default="worst"),
        # YAML reads a bare false as a value that is no text.
        "impute_while_running": "false"
        if while_running is False
        else metric.choice("impute_while_running", (*_IMPUTE, "false"), default="false"),
    }


def _rules(document: Section) -> dict[str, Any]:
    """When trials stop early, and what stands under the key that is not W&B's."""
    rules: dict[str, Any] = {}
    if "early_terminate" in document:
        rules["stopping"] = read_early_terminate(document.section("early_terminate"))
    if EXTENSION not in document:
        return rules
    extension = document.section(EXTENSION)
    extension.allow(("seed", "max_time", "max_trial_time", "workers", "asha"))
    if "asha" in extension:
        if "stopping" in rules:
            raise extension.wrong("asha", "asha beside early_terminate", expected="one of them")
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
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)([smhd])", str(value))
    if not found or not float(found.group(1)):
        raise extension.wrong(key, f"{key} is {value!r}", expected="a time such as 90s, 30m, 1.5h or 1d")
    return float(found.group(1)) * _UNITS[found.group(2)]


def _text(section: Section, key: str) -> str | None:
    value = section.get(key)
    if value is not None and (not isinstance(value, str) or not value.strip()):
        raise section.wrong(key, f"{key} is {value!r}", expected="a text")
    return value


def _check_grid(document: Section, parameters: tuple[Parameter, ...]) -> None:
    for parameter in parameters:
        if parameter.grid() is None:
            raise document.wrong(
                "parameters",
                f"method grid, but {parameter.name!r} is {parameter.distribution}",
                expected="value, values, int_uniform or q_uniform",
                remedy="Use method random or bayes, or list the values.",
            )
