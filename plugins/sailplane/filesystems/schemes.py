"""Registers the store's filesystems for `s3://`, `data://` and `hf://` with fsspec and universal-pathlib. It must be
imported before any DAG creates such a path. Airflow imports it at its start through the `airflow.policy` entry point;
plugins load too late for a path at the top of a DAG file. It imports nothing from the project, to load quickly."""

from __future__ import annotations

from importlib.util import find_spec

import fsspec
from upath.registry import register_implementation

CONNECTED = {"data": "ConnectedData", "hf": "ConnectedHub", "s3": "ConnectedS3"}
# universal-pathlib's own `data` is for data URLs, and its own `hf` is read-only.
PATHS = {"data": "DataPath", "hf": "HubPath"}

if find_spec("s3fs"):
    # Users of s3fs use this scheme, with options of its own.
    del CONNECTED["s3"]
for scheme, filesystem in CONNECTED.items():
    fsspec.register_implementation(scheme, f"sailplane.filesystems.connected.{filesystem}", clobber=True)
for scheme, path in PATHS.items():
    register_implementation(scheme, f"sailplane.filesystems.paths.{path}", clobber=True)
