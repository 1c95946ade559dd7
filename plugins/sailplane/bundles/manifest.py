"""The manifest: a list of a bundle's files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from sailplane.errors import ModelError
from sailplane.records import SPARSE, Field, Record

# Format 2 added the inputs' checks and whether they are required.
FORMAT = 2
FORMATS = (1, FORMAT)
FILES = ("model.onnx", "features.py", "state.json", "golden.json")
MANIFEST = "manifest.json"
# Next to the bundle of a registered model.
RECORD = "model.json"


@dataclass(frozen=True, kw_only=True)
class Manifest(Record):
    """`inputs` are the fields of a request; `files` has the SHA-256 of each file; `unchecked` are the checks of the
    dataset's schema that do not apply to requests."""

    format: int
    model: str
    target: str
    outputs: tuple[str, ...]
    inputs: tuple[Field, ...]
    files: Mapping[str, str]
    run: str
    dataset: str
    as_of: datetime
    created: datetime
    unchecked: tuple[str, ...] = field(default=(), metadata=SPARSE)

    @property
    def digest(self) -> str:
        """Covers everything but the time of writing: a retry of the same run gives the same version."""
        content = {key: value for key, value in self.content().items() if key != "created"}
        return sha256(json.dumps(content, sort_keys=True).encode())


def read_manifest(path: Path) -> Manifest:
    try:
        values = json.loads(read_bytes(path))
        manifest = Manifest.from_dict(values)
        files = set(manifest.files)
    except (ValueError, TypeError, AttributeError) as error:
        raise ModelError("open bundle", path, got=error, expected="a manifest") from error
    if manifest.format not in FORMATS:
        expected, remedy = f"format {FORMAT} or older", "Upgrade Sailplane to the release that made the bundle."
        raise ModelError("open bundle", path, got=f"format {manifest.format}", expected=expected, remedy=remedy)
    if files != set(FILES):
        raise ModelError("open bundle", path, got=f"files {sorted(files)}", expected=sorted(FILES))
    return manifest


def read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelError("open bundle", path, got=error.strerror, remedy="Register the model again.") from error


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
