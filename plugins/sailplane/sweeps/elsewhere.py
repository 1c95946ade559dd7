"""Settings of a W&B sweep file that the DAG or the platform decides. They are accepted, checked as W&B checks them, and
noted in the log."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from sailplane.sweeps.document import Section

_TRAIN: Final = "the DAG names the train function"
_ENGINE: Final = "this platform gives the trials itself"
# By key: the type of its value, and what decides instead.
DECIDED: Final[dict[str, tuple[type, str]]] = {
    "program": (str, _TRAIN),
    "command": (list, _TRAIN),
    "job": (str, _TRAIN),
    "image_uri": (str, _TRAIN),
    "project": (str, "the DAG's model names the project"),
    "entity": (str, "WANDB_ENTITY names it"),
    "controller": (dict, _ENGINE),
    "scheduler": (dict, _ENGINE),
    "apiVersion": (str, "it says nothing that matters here"),
    "kind": (str, "it says nothing that matters here"),
}
# The platform measures it for every model. The default if the file names no metric.
METRIC: Final = {"name": "validation_auc", "goal": "maximize"}
_KINDS: Final[dict[type, str]] = {str: "a text", list: "a list", dict: "keys with values"}


def check(document: Section) -> None:
    """Raises SweepFileError for a value that W&B refuses."""
    for key, (kind, _) in DECIDED.items():
        if key in document and not isinstance(document.get(key), kind):
            raise document.wrong(key, f"{key} is {document.get(key)!r}", expected=_KINDS[kind])


def notes(path: Path) -> tuple[str, ...]:
    """A sentence for each setting of a valid file that does not count as it would at W&B."""
    return tuple(_notes(Section.read(path)))


def _notes(document: Section) -> Iterator[str]:
    for key, (_, who) in DECIDED.items():
        if key in document:
            yield f"{document.file}:{document.line_of(key)}: {key!r} is not used: {who}."
    if document.get("method") == "custom":
        yield f"{document.file}:{document.line_of('method')}: method 'custom' is searched by `bayes` here."
    if "metrics" in document:
        name = document.sections("metrics")[0].get("name")
        yield f"{document.file}:{document.line_of('metrics')}: only the first metric counts, {name!r}."
    elif "metric" not in document:
        yield f"{document.file}: no metric is named: the best trial is the one with the highest {METRIC['name']}."
    for place, value in _choices(document.get("parameters", {})):
        if _is_scientific(value):
            yield f"{document.file}: {place} has the text {value!r}; YAML reads a number if it is written 1.0e-5."


def _choices(parameters: dict[str, Any], place: str = "") -> Iterator[tuple[str, Any]]:
    for name, about in parameters.items():
        if "parameters" in about:
            yield from _choices(about["parameters"], f"{place}{name}.")
        for value in [*about.get("values", []), about.get("value")]:
            yield f"{place}{name}", value


def _is_scientific(value: object) -> bool:
    """Whether it looks like a number such as 1e-5, which YAML 1.1 reads as text without a point and a sign."""
    if not isinstance(value, str) or "e" not in value.lower():
        return False
    try:
        float(value)
    except ValueError:
        return False
    return True
