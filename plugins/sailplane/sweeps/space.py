"""A W&B sweep file as values. What it asks and this platform cannot do is an error, never silence."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

from sailplane.errors import SweepFileError
from sailplane.records import Record
from sailplane.sweeps.document import Section
from sailplane.sweeps.parameters import Parameter, read_parameters

Goal = Literal["minimize", "maximize"]
METHODS: Final = ("random", "grid", "bayes")
EXTENSION: Final = "sailplane"
_KEYS: Final = ("method", "metric", "parameters", "run_cap", "name", "description", EXTENSION)
# Keys of W&B's own schema that ask for something which is not built, or which a DAG says already.
_REFUSED: Final = {
    "early_terminate": "Early stopping comes later: remove it, and every trial runs to its end.",
    "program": "The DAG names the train function: remove it.",
    "command": "The DAG names the train function: remove it.",
    "project": "The DAG names the project: remove it.",
    "entity": "WANDB_ENTITY names it: remove it.",
    "metrics": "Name one `metric`.",
    **dict.fromkeys(("controller", "scheduler", "job", "image_uri", "kind", "apiVersion"), "Remove it."),
}


@dataclass(frozen=True, kw_only=True)
class SweepConfig(Record):
    """`metric` is the name that a trial's scores have, for example validation_auc."""

    method: str
    metric: str
    goal: Goal
    parameters: tuple[Parameter, ...]
    run_cap: int | None = None
    seed: int = 0

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
    metric, goal = _metric(document)
    parameters = read_parameters(document.section("parameters"))
    if method == "grid":
        _check_grid(document, parameters)
    cap = _whole(document, "run_cap", at_least=1)
    return SweepConfig(
        method=method, metric=metric, goal=goal, parameters=parameters, run_cap=cap, seed=_seed(document)
    )


def _metric(document: Section) -> tuple[str, Goal]:
    metric = document.section("metric")
    for key in ("target", "impute", "impute_while_running"):
        if key in metric:
            raise metric.wrong(key, f"metric.{key} is not supported", remedy="Remove it.")
    metric.allow(("name", "goal"))
    metric.require("name")
    goal = metric.choice("goal", ("minimize", "maximize"), default="minimize")
    return str(metric.get("name")), "maximize" if goal == "maximize" else "minimize"


def _check_grid(document: Section, parameters: tuple[Parameter, ...]) -> None:
    for parameter in parameters:
        if parameter.grid() is None:
            raise document.wrong(
                "parameters",
                f"method grid, but {parameter.name!r} is {parameter.distribution}",
                expected="value, values, int_uniform or q_uniform",
                remedy="Use method random or bayes, or list the values.",
            )


def _whole(section: Section, key: str, *, at_least: int) -> int | None:
    value = section.get(key)
    if value is None and key not in section:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < at_least:
        raise section.wrong(key, f"{key} is {value!r}", expected=f"a whole number of at least {at_least}")
    return value


def _seed(document: Section) -> int:
    if EXTENSION not in document:
        return 0
    extension = document.section(EXTENSION)
    extension.allow(("seed",))
    return _whole(extension, "seed", at_least=0) or 0
