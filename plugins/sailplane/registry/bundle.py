"""A model bundle: a folder that holds all that a prediction needs, and no pickle.

manifest.json   what it is: names and types of the inputs, names of the outputs, origin, a digest of each file
model.onnx      the graph: inputs named as the arrays of `transform`, one output `probability` [n, len(outputs)]
features.py     the project's feature code, as it was when the model was trained
state.json      what `fit` learned on the training rows
golden.json     rows with the scores that they got: whoever opens the bundle elsewhere must get them again
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from sailplane.errors import ConfigurationError, ModelError, RequestError
from sailplane.records import Field
from sailplane.registry.arrays import arrays_of_values
from sailplane.registry.columns import columns_of, plain_records, read, typed_frame
from sailplane.registry.features import Features, check_self_contained, load_features, rows_for
from sailplane.registry.manifest import FILES, FORMAT, MANIFEST, Manifest, read_bytes, read_manifest, sha256

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
        """Raises ModelError that names the file that is missing or changed."""
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
        """Rows given as {field: value}, typed as training saw them. Raises RequestError that names the field."""
        inputs = self.manifest.inputs
        return typed_frame(read(columns_of(records, inputs), inputs), inputs)

    def predict(self, frame: pd.DataFrame) -> np.ndarray:
        """Probabilities, float32 [n, len(outputs)]. Raises ModelError if one is not finite."""
        return self._finite(self.scores(frame))

    def predict_values(self, values: Mapping[str, Sequence[Any]]) -> np.ndarray:
        """`predict` of what `columns.read` gave, by field: the way of a request."""
        inputs = self.manifest.inputs
        make = arrays_of_values if self._features.takes_columns else typed_frame
        return self._finite(self._scores(make(values, inputs), len(values[inputs[0].name])))

    def scores(self, frame: pd.DataFrame) -> np.ndarray:
        """As `predict`, with NaN or infinity in the rows that get no number."""
        return self._scores(rows_for(self._features.transform, frame, self.manifest.inputs), len(frame))

    def _scores(self, rows: Any, count: int) -> np.ndarray:
        return self._run(self._features.transform(rows, self._state), count)

    def _finite(self, scores: np.ndarray) -> np.ndarray:
        import numpy as np

        finite = np.isfinite(scores)
        if not finite.all():
            good = finite.all(axis=1)
            raise ModelError(
                "score",
                self.manifest.model,
                got=f"{int((~good).sum())} of {len(scores)} rows (first: row {good.argmin()}) get NaN or infinity",
                remedy="Look for values far outside of the training data, or for a division by zero in features.py.",
            )
        return scores

    @property
    def golden_records(self) -> list[dict[str, Any]]:
        return list(self._golden["records"])

    @property
    def golden_scores(self) -> list[list[float]]:
        return list(self._golden["scores"])

    def check(self) -> None:
        """Raises ModelError if the golden rows do not get the scores that they got when the bundle was written."""
        inputs = self.manifest.inputs
        self.compare(self.predict_values(read(columns_of(self.golden_records, inputs), inputs)))

    def compare(self, scores: Any) -> None:
        """Raises ModelError if these are not the scores of the golden rows."""
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
                remedy="Versions of onnxruntime, numpy or pandas may differ from those of the training.",
            )

    def example(self) -> dict[str, Any]:
        """A request's body in Seldon's form, from the first golden row."""
        record = self.golden_records[0]
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
        except Exception as error:  # onnxruntime's exceptions have no common class of their own
            raise ModelError("score", self.manifest.model, got=error) from error
        shape = (rows, len(self.manifest.outputs))
        if scores.size != rows * len(self.manifest.outputs):
            raise ModelError("score", self.manifest.model, got=f"scores of shape {scores.shape}", expected=shape)
        return np.asarray(scores, dtype=np.float32).reshape(shape)

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


def write(
    folder: Path,
    *,
    model: str,
    target: str,
    outputs: tuple[str, ...],
    inputs: tuple[Field, ...],
    onnx: bytes,
    features: Path,
    state: Mapping[str, Any],
    golden: pd.DataFrame,
    run: str,
    dataset: str,
    as_of: datetime,
) -> Bundle:
    """Writes the bundle, all or nothing, in place of what lay there. The golden rows are scored both as they are and as
    a request would bring them; ModelError if a score is not finite or the two differ, ConfigurationError if features.py
    needs more than installed packages."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,46}", model):
        raise ConfigurationError("name a model", repr(model), expected="at most 47 of a-z 0-9 _ -, the first no sign")
    check_self_contained(features)
    draft = folder.with_name(f".{folder.name}.{os.getpid()}")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    try:
        (draft / "model.onnx").write_bytes(onnx)
        (draft / "features.py").write_bytes(features.read_bytes())
        (draft / "state.json").write_text(json.dumps(state, allow_nan=False))
        described = Manifest(
            format=FORMAT,
            model=model,
            target=target,
            outputs=outputs,
            inputs=inputs,
            files={},
            run=run,
            dataset=dataset,
            as_of=as_of,
            created=datetime.now(UTC),
        )
        _write_golden(Bundle(draft, described), golden)
        files = {name: sha256((draft / name).read_bytes()) for name in FILES}
        manifest = Manifest.from_dict({**described.to_dict(), "files": files})
        (draft / MANIFEST).write_text(json.dumps(manifest.to_dict(), indent=1))
        shutil.rmtree(folder, ignore_errors=True)
        draft.rename(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return Bundle.open(folder)


def _write_golden(bundle: Bundle, golden: pd.DataFrame) -> None:
    if not len(golden):
        raise ModelError("write bundle", bundle.manifest.model, got="no golden rows", expected="at least one")
    names = [field.name for field in bundle.manifest.inputs]
    if missing := [name for name in names if name not in golden]:
        raise ModelError("write bundle", bundle.manifest.model, got=f"golden rows without {missing}", expected=names)
    records = plain_records(golden, bundle.manifest.inputs)
    try:
        as_requested = bundle.predict(bundle.frame(records))
    except RequestError as error:
        raise ModelError("score the golden rows of", bundle.manifest.model, got=error) from error
    as_trained = bundle.predict(golden[names])
    (bundle.folder / "golden.json").write_text(json.dumps({"records": records, "scores": as_requested.tolist()}))
    bundle.compare(as_trained)
