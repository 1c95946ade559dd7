"""The dataset columns that a model reads, and the columns of its scores."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import pyarrow as pa

from sailplane.bundles.manifest import Manifest
from sailplane.datasets.schema import ARROW
from sailplane.errors import ConfigurationError, SchemaError
from sailplane.records import Dataset, Field, FieldKind

PARTITION: Final = "partition"
ROW: Final = "row"
VERSION: Final = "model_version"
# Columns of rejected rows: the reason, and the row as the refused request.
REASON: Final = "reason"
INPUTS: Final = "inputs"

# The other kinds of columns that a model accepts, at least for some values.
_TAKEN: Final[dict[FieldKind, FieldKind]] = {"number": "integer", "integer": "number"}


@dataclass(frozen=True, kw_only=True)
class Columns:
    """`inputs` are the model's inputs that the dataset has; `carried` are dataset columns stored with the scores;
    `read` are the columns that either needs; `outputs` are the names of the scores."""

    inputs: tuple[Field, ...]
    carried: tuple[Field, ...]
    read: tuple[Field, ...]
    outputs: tuple[str, ...]

    @classmethod
    def of(cls, manifest: Manifest, dataset: Dataset, keep: Sequence[str] = ()) -> Self:
        """The columns for a model and a dataset. Carried are the times that are never null, and `keep`. Raises
        SchemaError if the dataset lacks a model input, ConfigurationError for names in `keep` that the dataset lacks or
        that clash with the scores."""
        _check_inputs(manifest, dataset)
        _check_kept(keep, dataset)
        taken = {field.name for field in manifest.inputs}
        carried = tuple(field for field in dataset.schema if _is_time(field) or field.name in keep)
        _check_names([field.name for field in carried], manifest.outputs)
        return cls(
            inputs=tuple(field for field in manifest.inputs if field.name in {held.name for held in dataset.schema}),
            carried=carried,
            read=tuple(field for field in dataset.schema if field in carried or field.name in taken),
            outputs=manifest.outputs,
        )

    @property
    def input_fields(self) -> tuple[Field, ...]:
        """The inputs as dataset fields."""
        taken = {field.name for field in self.inputs}
        return tuple(field for field in self.read if field.name in taken)

    @property
    def scores(self) -> pa.Schema:
        return pa.schema([*self._identity, *((name, pa.float32()) for name in self.outputs), (VERSION, pa.string())])

    @property
    def rejected(self) -> pa.Schema:
        return pa.schema([*self._identity, *((name, pa.string()) for name in (VERSION, REASON, INPUTS))])

    @property
    def _identity(self) -> list[tuple[str, Any]]:
        carried = [(field.name, ARROW[field.kind]) for field in self.carried]
        return [(PARTITION, pa.string()), (ROW, pa.int64()), *carried]


def _check_inputs(manifest: Manifest, dataset: Dataset) -> None:
    held = {field.name: field.kind for field in dataset.schema}
    missing = [field.name for field in manifest.inputs if field.required and field.name not in held]
    wrong = [
        f"{field.name!r} is of kind {held[field.name]}, not {field.kind}"
        for field in manifest.inputs
        if field.name in held and held[field.name] not in (field.kind, _TAKEN.get(field.kind))
    ]
    faults = ([f"no column {', '.join(map(repr, missing))}"] if missing else []) + wrong
    if faults:
        raise SchemaError(
            "score",
            f"{dataset.name} {dataset.version}",
            got="; ".join(faults),
            expected=f"the inputs of {manifest.model}: {', '.join(field.name for field in manifest.inputs)}",
            remedy="Ingest these columns as in training, or train a model without them.",
        )


def _check_kept(keep: Sequence[str], dataset: Dataset) -> None:
    held = [field.name for field in dataset.schema]
    if unknown := [name for name in keep if name not in held]:
        listed = ", ".join(map(repr, unknown))
        raise ConfigurationError("keep columns of", dataset.name, got=f"no {listed}", expected=", ".join(held))


def _check_names(carried: Sequence[str], outputs: Sequence[str]) -> None:
    times = Counter([PARTITION, ROW, *carried, *outputs, VERSION, REASON, INPUTS])
    if twice := [name for name in times if times[name] > 1]:
        raise ConfigurationError(
            "name the columns of the scores",
            got=f"{twice[0]!r} twice",
            expected=f"{PARTITION}, {ROW}, the kept columns, the outputs, {VERSION}; {REASON} and {INPUTS}",
            remedy="Do not keep that column, or rename it in the dataset.",
        )


def _is_time(field: Field) -> bool:
    return field.kind == "timestamp" and not field.nullable
