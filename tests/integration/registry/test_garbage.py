"""Garbage collection in a real S3, with the ledger on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sailplane.ledger import Ledger
from sailplane.registry import models
from sailplane.registry.garbage import Collector
from sailplane.storage import Storage
from tests.s3 import S3Server, s3_server
from tests.unit.bundles import tiny

# An object that was put a moment ago counts as old.
AT_ONCE = -60.0


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with s3_server(tmp_path_factory.mktemp("s3")) as running:
        yield running


def test_what_a_version_needs_stays_and_what_nobody_needs_goes(s3: S3Server, ledger: Ledger, tmp_path: Path) -> None:
    storage = Storage(f"s3://sailplane/{tmp_path.name}", lambda: s3.access)
    kept, old = (
        models.register(ledger, storage, tiny.run_of(tiny.bundle(tmp_path / run, run=run), storage))
        for run in ("run-1", "run-2")
    )
    models.promote(ledger, "flights", kept.version)
    newest = models.register(ledger, storage, tiny.run_of(tiny.bundle(tmp_path / "run-3", run="run-3"), storage))
    storage.put("runs/lost/bundle/model.onnx", b"x")
    storage.put("algorithmia/mine", b"x")
    collector = Collector(ledger, storage, keep=1, grace_seconds=AT_ONCE)
    planned = collector.find()
    assert planned.versions == (("flights", old.version),)
    assert collector.collect() == planned
    left = {path.rpartition("/")[0] for path in storage.list() if not path.startswith("trash/")}
    needed = {f"models/flights/{model.version}" for model in (kept, newest)} | {
        "runs/run-1/bundle",
        "runs/run-3/bundle",
    }
    assert left == {*needed, "algorithmia"}
    for n, model in enumerate((kept, newest)):
        models.fetch(storage, model, tmp_path / f"copy-{n}").check()
    assert {one.model.version for one in models.versions(ledger)} == {kept.version, newest.version}
