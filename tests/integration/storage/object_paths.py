"""Uses paths as a DAG does, in a separate process: `python -m tests.integration.storage.object_paths WHAT`, where WHAT
is `[[verb, uri, ...], ...]`, prints the result of each verb, as JSON on the last line."""

from __future__ import annotations

import json
import logging
import os
import sys
from contextlib import suppress
from itertools import pairwise
from typing import Any

from airflow.providers.common.io.xcom import backend
from airflow.sdk import ObjectStoragePath
from airflow.sdk.bases.xcom import BaseXCom
from airflow.sdk.execution_time.xcom import XCom


class Broken(Exception):
    pass


def verbs(uri: str) -> dict[str, Any]:
    root = ObjectStoragePath(uri) / "a folder"
    path = root / "a.txt"
    seen: dict[str, Any] = {"before": [root.exists(), path.exists()]}
    path.write_text("täxt")
    (root / "d" / "b.bin").write_bytes(b"bytes")
    seen["after"] = [root.is_dir(), path.is_file(), path.exists(), (root / "nothing").exists()]
    seen["read"] = [path.read_text(), (root / "d/b.bin").read_bytes().decode()]
    seen["stat"] = [path.stat().st_size, path.size()]
    seen["iterdir"] = sorted(child.name for child in root.iterdir())
    seen["glob"] = sorted(found.name for found in root.glob("**/*.bin"))
    seen["half"] = _half(root / "half.txt")
    path.copy(root / "copy.txt")
    (root / "copy.txt").rename(root / "moved.txt")
    seen["moved"] = [(root / "moved.txt").read_text(), (root / "copy.txt").exists()]
    (root / "moved.txt").unlink()
    seen["unlinked"] = (root / "moved.txt").exists()
    root.rmdir(recursive=True)
    seen["end"] = path.exists()
    return seen


def verbs_of(*uris: str) -> dict[str, Any]:
    return {uri: verbs(uri) for uri in uris}


def between(*uris: str) -> dict[str, Any]:
    """Copies from each path to the next, and moves back from the last to the first."""
    paths = [ObjectStoragePath(uri) / "x" / "carried.txt" for uri in uris]
    paths[0].write_text("carried")
    for source, target in pairwise(paths):
        source.copy(target)
    back = ObjectStoragePath(uris[0]) / "back.txt"
    paths[-1].move(back)
    return {"back": back.read_text(), "left": [path.exists() for path in paths]}


def xcom(uri: str) -> dict[str, Any]:
    """Sends a large and a small value through the backend at `uri`, as a worker does."""
    os.environ["AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH"] = uri
    backend._get_base_path.cache_clear()
    Backend: Any = XCom
    value = "v" * 200_000
    where = {"key": "k", "task_id": "t", "dag_id": "d", "run_id": "r"}
    stored, small = (_Row(Backend.serialize_value(one, **where)) for one in (value, "small"))
    put = BaseXCom.deserialize_value(stored)
    seen = {"under": put.startswith(f"{uri}/d/r/t/"), "size": ObjectStoragePath(put).size() < len(value)}
    seen |= {"same": Backend.deserialize_value(stored) == value, "small": Backend.deserialize_value(small) == "small"}
    Backend.purge(_Row(put))
    return {**seen, "purged": not ObjectStoragePath(put).exists()}


def frame(uri: str) -> dict[str, Any]:
    import pandas as pd

    pd.DataFrame({"a": [1, 2]}).to_csv(f"{uri}/f.csv", index=False)
    pd.DataFrame({"a": [3]}).to_parquet(f"{uri}/f.parquet", storage_options={})
    read = [pd.read_csv(f"{uri}/f.csv"), pd.read_parquet(f"{uri}/f.parquet", storage_options={})]
    return {"frames": [one["a"].tolist() for one in read]}


def fails(*uris: str) -> dict[str, Any]:
    return {"errors": [_error(uri) for uri in uris]}


def _error(uri: str) -> str | None:
    try:
        ObjectStoragePath(uri).exists()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None


class _Row:
    """A row that the database returns."""

    def __init__(self, value: Any) -> None:
        self.value = value


def _half(path: ObjectStoragePath) -> bool:
    with suppress(Broken), path.open("w") as file:
        file.write("half")
        raise Broken
    with suppress(Broken), path.open("wb") as file:
        file.write(b"half")
        raise Broken
    return path.exists()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    print(json.dumps([globals()[verb](*given) for verb, *given in json.loads(sys.argv[1])]))
