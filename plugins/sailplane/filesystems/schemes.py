"""Makes `s3://`, `data://` and `hf://` the store's, for fsspec and for universal-pathlib. It has to be imported before
the first such path is made, in anybody's DAG: Airflow does so when it starts, for the sake of its `airflow.policy`
entry point, and plugins come too late for a path at the top of a DAG file. So it imports nothing of the project."""

from __future__ import annotations

from importlib.util import find_spec

import fsspec
from upath.registry import register_implementation

CONNECTED = {"data": "ConnectedData", "hf": "ConnectedHub", "s3": "ConnectedS3"}
# universal-pathlib's own take the one for a data URL, and only read the other.
PATHS = {"data": "DataPath", "hf": "HubPath"}

if find_spec("s3fs"):
    # Who has installed it calls it by this name, with options of its own.
    del CONNECTED["s3"]
for scheme, filesystem in CONNECTED.items():
    fsspec.register_implementation(scheme, f"sailplane.filesystems.connected.{filesystem}", clobber=True)
for scheme, path in PATHS.items():
    register_implementation(scheme, f"sailplane.filesystems.paths.{path}", clobber=True)
