"""W&B sweep settings that are not used here, because the DAG or the platform controls them. They are accepted, checked
as W&B checks them, and logged."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from sailplane.sweeps.document import Section

_TRAIN: Final = "the DAG names the train function"
_ENGINE: Final = "this platform assigns the trials itself"
# The type of the value, and the reason, by key.
UNUSED: Final[dict[str, tuple[type, str]]] = {
    "program": (str, _TRAIN),
    "command": (list, _TRAIN),
    "job": (str, _TRAIN),
    "image_uri": (str, _TRAIN),
    "project": (str, "the DAG's model names the project"),
    "entity": (str, "WANDB_ENTITY names it"),
    "controller": (dict, _ENGINE),
    "scheduler": (dict, _ENGINE),
    "apiVersion": (str, "it has no meaning here"),
    "kind": (str, "it has no meaning here"),
}
# The default if the file names no metric. The platform measures it for every model.
METRIC: Final = {"name": "validation_auc", "goal": "maximize"}
_KINDS: Final[dict[type, str]] = {str: "a string", list: "a list", dict: "keys with values"}


def check(document: Section) -> None:
    """Raises SweepFileError for a value that W&B refuses."""
    for key, (kind, _) in UNUSED.items():
        if key in document and not isinstance(document.get(key), kind):
            raise document.wrong(key, f"{key} is {document.get(key)!r}", expected=_KINDS[kind])


def notes(document: Section) -> Iterator[str]:
    """A message for each setting of a valid file that works differently than at W&B."""
    for key, (_, reason) in UNUSED.items():
        if key in document:
            yield f"{document.file}:{document.line_of(key)}: {key!r} is not used: {reason}."
    if document.get("method") == "custom":
        yield f"{document.file}:{document.line_of('method')}: method 'custom' runs as `bayes` here."
    if "metrics" in document:
        name = document.sections("metrics")[0].get("name")
        yield f"{document.file}:{document.line_of('metrics')}: only the first metric counts, {name!r}."
    elif "metric" not in document:
        yield f"{document.file}: it names no metric: the best trial has the highest {METRIC['name']}."
    for name_path, value in _choices(document.get("parameters", {})):
        if _is_scientific(value):
            yield f"{document.file}: {name_path} has the text {value!r}; to make it a number, write it like 1.0e-5."


def _choices(parameters: dict[str, Any], name_path: str = "") -> Iterator[tuple[str, Any]]:
    for name, about in parameters.items():
        if "parameters" in about:
            yield from _choices(about["parameters"], f"{name_path}{name}.")
        for value in [*about.get("values", []), about.get("value")]:
            yield f"{name_path}{name}", value


def _is_scientific(value: object) -> bool:
    """Whether it looks like a number such as 1e-5, which YAML 1.1 reads as text because the point or the sign is
    missing."""
    if not isinstance(value, str) or "e" not in value.lower():
        return False
    try:
        float(value)
    except ValueError:
        return False
    return True
