"""A model bundle: a folder with everything that a prediction needs, without pickles.

manifest.json   description: names and types of the inputs, names of the outputs, origin, a digest of each file
model.onnx      the graph: inputs named like the arrays of `transform`, one output `probability` [n, len(outputs)]
features.py     the project's feature code at the time of training
state.json      what `fit` learned from the training rows
golden.json     rows with their scores, which must be the same wherever the bundle is opened
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from sailplane.bundles.arrays import arrays_of_values
from sailplane.bundles.checks import Checks
from sailplane.bundles.columns import absent, columns_of, read, typed_frame
from sailplane.bundles.features import Features, load_features, rows_for
from sailplane.bundles.manifest import MANIFEST, Manifest, read_bytes, read_manifest, sha256
from sailplane.bundles.reads import GuardedColumns, GuardedFrame, Reads, guarded, read_by
from sailplane.errors import ModelError
from sailplane.records import Field

if TYPE_CHECKING:
    import numpy as np
    import onnxruntime
    import pandas as pd

# Scores of one row in batches of different sizes may differ in the last bits of float32.
TOLERANCE = 1e-5


@dataclass(frozen=True)
class Bundle:
    folder: Path
    manifest: Manifest

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Raises ModelError, naming the missing or changed file."""
        manifest = read_manifest(folder / MANIFEST)
        for name, digest in manifest.files.items():
            got = sha256(read_bytes(folder / name))
            if got != digest:
                raise ModelError("open bundle", folder / name, got=f"digest {got[:12]}", expected=digest[:12])
        return cls(folder, manifest)

    @cached_property
    def digest(self) -> str:
        return self.manifest.digest

    @cached_property
    def version(self) -> str:
        return self.digest[:12]

    def frame(self, records: Sequence[object]) -> pd.DataFrame:
        """Rows given as {field: value}, with the types of the training. Raises RequestError, naming the field."""
        inputs = self.manifest.inputs
        return typed_frame(read(columns_of(records, inputs), inputs), inputs)

    def predict(self, frame: pd.DataFrame) -> np.ndarray:
        """Probabilities, float32 [n, len(outputs)]. Raises ModelError if one is not finite."""
        return self._finite(self.scores(frame))

    def predict_values(self, values: Mapping[str, Sequence[Any]]) -> np.ndarray:
        """`predict` for the values of a request, as `columns.read` returns them. Raises RequestError if `transform`
        reads an input that the request leaves out."""
        inputs = self.manifest.inputs
        missing = absent(values, self._unread) if self._unread else frozenset()
        held = [field for field in inputs if field.name not in missing] if missing else inputs
        make = arrays_of_values if self._features.takes_columns else typed_frame
        return self._finite(self._scores(make(values, held), len(values[inputs[0].name]), missing))

    def scores(self, frame: pd.DataFrame) -> np.ndarray:
        """Like `predict`, with NaN or infinity for rows that cannot be scored. The frame may lack inputs that are not
        required. Raises RequestError if `transform` reads one of these."""
        missing = frozenset(field.name for field in self._unread if field.name not in frame)
        return self._scores(rows_for(self._features.transform, frame, self.manifest.inputs), len(frame), missing)

    def _scores(self, rows: Any, count: int, missing: frozenset[str] = frozenset()) -> np.ndarray:
        if not count:
            # Feature code and graphs may fail without rows.
            return self._empty
        if missing:
            rows = guarded(rows, Reads(self._names, missing))
        arrays = self._features.transform(rows, self._state)
        if isinstance(rows, GuardedColumns | GuardedFrame):
            rows.reads.check()
        return self._run(arrays, count)

    def _finite(self, scores: np.ndarray) -> np.ndarray:
        import numpy as np

        finite = np.isfinite(scores)
        if not finite.all():
            good = finite.all(axis=1)
            raise ModelError(
                "score",
                self.manifest.model,
                got=f"{int((~good).sum())} of {len(scores)} rows (first: row {good.argmin()}) get NaN or infinity",
                remedy="Check for values far outside the training data, or a division by zero in features.py.",
            )
        return scores

    @property
    def _empty(self) -> np.ndarray:
        import numpy as np

        return np.empty((0, len(self.manifest.outputs)), dtype=np.float32)

    @property
    def golden_records(self) -> list[dict[str, Any]]:
        return list(self._golden["records"])

    @property
    def golden_scores(self) -> list[list[float]]:
        return list(self._golden["scores"])

    def check(self) -> None:
        """Raises ModelError if the golden rows fail the checks of a request, or their scores differ from those at
        writing."""
        self.compare(self.requested(self.golden_records))

    def requested(self, records: Sequence[Mapping[str, Any]]) -> np.ndarray:
        """The scores of golden rows sent as requests."""
        inputs = self.manifest.inputs
        values = read(columns_of(records, inputs), inputs)
        for violation in self.checks.violations(values):
            raise ModelError("check the golden rows of", self.manifest.model, got=violation, expected="no violation")
        return self.predict_values(values)

    def compare(self, scores: Any) -> None:
        """Raises ModelError if these differ from the scores of the golden rows."""
        import numpy as np

        expected, got = np.asarray(self.golden_scores), np.asarray(scores, dtype="float64")
        if got.shape != expected.shape:
            raise ModelError(
                "compare golden scores of", self.manifest.model, got=f"shape {got.shape}", expected=expected.shape
            )
        off = np.abs(got - expected).max()
        if not off <= TOLERANCE:
            raise ModelError(
                "compare golden scores of",
                self.manifest.model,
                got=f"off by up to {off:.2g}",
                expected=f"at most {TOLERANCE}",
                remedy="Versions of onnxruntime, numpy or pandas may differ from the training's.",
            )

    def example(self) -> dict[str, Any]:
        """A request body in Seldon's form: the fields of the first golden row that the model reads."""
        unread = {field.name for field in self._unread}
        record = {name: value for name, value in self.golden_records[0].items() if name not in unread}
        return {"data": {"names": list(record), "ndarray": [list(record.values())]}}

    def _run(self, arrays: Mapping[str, np.ndarray], rows: int) -> np.ndarray:
        import numpy as np

        wanted = self._wanted
        if missing := [name for name in wanted if name not in arrays]:
            raise ModelError(
                "score", self.manifest.model, got=f"transform gives {sorted(arrays)}", expected=f"also {missing}"
            )
        try:
            (scores,) = self._session.run(
                ["probability"], {name: np.ascontiguousarray(arrays[name]) for name in wanted}
            )
        except Exception as error:  # onnxruntime's exceptions share no class of their own
            raise ModelError("score", self.manifest.model, got=error) from error
        shape = (rows, len(self.manifest.outputs))
        if scores.size != rows * len(self.manifest.outputs):
            raise ModelError("score", self.manifest.model, got=f"scores of shape {scores.shape}", expected=shape)
        return np.asarray(scores, dtype=np.float32).reshape(shape)

    @cached_property
    def checks(self) -> Checks:
        """The checks of the inputs, for requests. Raises ModelError for a check unknown to this release."""
        return Checks(self.manifest.inputs)

    def reads(self, records: Sequence[Mapping[str, Any]]) -> frozenset[str]:
        """The inputs that `transform` reads for these rows."""
        inputs = self.manifest.inputs
        make = arrays_of_values if self._features.takes_columns else typed_frame
        rows = make(read(columns_of(records, inputs), inputs), inputs)
        return read_by(self._features.transform, rows, self._state, self._names)

    @cached_property
    def _names(self) -> list[str]:
        return [field.name for field in self.manifest.inputs]

    @cached_property
    def _unread(self) -> list[Field]:
        return [field for field in self.manifest.inputs if not field.required]

    @cached_property
    def _wanted(self) -> list[str]:
        return [node.name for node in self._session.get_inputs()]

    @cached_property
    def _session(self) -> onnxruntime.InferenceSession:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            return onnxruntime.InferenceSession(
                str(self.folder / "model.onnx"), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:
            raise ModelError("load", self.folder / "model.onnx", got=error) from error

    @cached_property
    def _features(self) -> Features:
        return load_features(self.folder / "features.py", self.digest)

    @cached_property
    def _state(self) -> dict[str, Any]:
        return dict(json.loads((self.folder / "state.json").read_bytes()))

    @cached_property
    def _golden(self) -> dict[str, Any]:
        return dict(json.loads((self.folder / "golden.json").read_bytes()))
