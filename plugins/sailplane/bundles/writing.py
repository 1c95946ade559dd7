"""Writes a bundle, and determines which inputs its requests must have."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sailplane.bundles.bundle import Bundle
from sailplane.bundles.columns import plain_records
from sailplane.bundles.features import check_self_contained
from sailplane.bundles.manifest import FILES, FORMAT, MANIFEST, Manifest, sha256
from sailplane.errors import ConfigurationError, ModelError, RequestError
from sailplane.records import Field

if TYPE_CHECKING:
    import pandas as pd


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
    unchecked: tuple[str, ...] = (),
) -> Bundle:
    """Writes the bundle atomically, replacing an earlier one. Requests must have the inputs that `transform` reads for
    the golden rows. These rows are scored directly and as a request. Raises ModelError if a score is not finite, the
    two differ, or a row fails a check; ConfigurationError if features.py needs more than installed packages."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,46}", model):
        raise ConfigurationError("name a model", repr(model), expected="at most 47 of a-z 0-9 _ -, first a-z or 0-9")
    check_self_contained(features)
    with _draft(folder) as draft:
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
            unchecked=unchecked,
        )
        described = _write_golden(Bundle(draft, described), golden).manifest
        files = {name: sha256((draft / name).read_bytes()) for name in FILES}
        manifest = Manifest.from_dict({**described.to_dict(), "files": files})
        (draft / MANIFEST).write_text(json.dumps(manifest.to_dict(), indent=1))
    return Bundle.open(folder)


@contextmanager
def _draft(folder: Path) -> Iterator[Path]:
    """A new folder that replaces `folder`, unless an error is raised."""
    draft = folder.with_name(f".{folder.name}.{os.getpid()}")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    try:
        yield draft
        shutil.rmtree(folder, ignore_errors=True)
        draft.rename(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _write_golden(bundle: Bundle, golden: pd.DataFrame) -> Bundle:
    """Writes golden.json; returns the bundle with the required inputs marked."""
    if not len(golden):
        raise ModelError("write bundle", bundle.manifest.model, got="no golden rows", expected="at least one")
    names = [field.name for field in bundle.manifest.inputs]
    if missing := [name for name in names if name not in golden]:
        raise ModelError("write bundle", bundle.manifest.model, got=f"golden rows without {missing}", expected=names)
    records = plain_records(golden, bundle.manifest.inputs)
    try:
        bundle = _reading(bundle, records)
        as_requested = bundle.requested(records)
    except RequestError as error:
        raise ModelError("score the golden rows of", bundle.manifest.model, got=error) from error
    as_trained = bundle.predict(golden[names])
    (bundle.folder / "golden.json").write_text(json.dumps({"records": records, "scores": as_requested.tolist()}))
    bundle.compare(as_trained)
    return bundle


def _reading(bundle: Bundle, records: Sequence[Mapping[str, Any]]) -> Bundle:
    """The bundle with only those inputs required that `transform` reads for these rows; unchanged if omitting the
    others changes the scores."""
    inputs, needed = bundle.manifest.inputs, bundle.reads(records)
    if not needed or len(needed) == len(inputs):
        return bundle
    found = tuple(replace(field, required=field.name in needed) for field in inputs)
    lean = Bundle(bundle.folder, replace(bundle.manifest, inputs=found))
    fewer = [{name: value for name, value in record.items() if name in needed} for record in records]
    try:
        same = bool((lean.requested(fewer) == bundle.requested(records)).all())
    except RequestError:
        same = False
    return lean if same else bundle
