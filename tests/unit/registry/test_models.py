from __future__ import annotations

from pathlib import Path

import pytest

from sailplane.errors import ModelError
from sailplane.ledger import Ledger
from sailplane.registry import models
from sailplane.storage import Storage
from tests.unit.registry import tiny


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage((tmp_path / "store").as_uri())


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")


def test_a_registered_model_is_a_copy_that_outlives_the_run(tmp_path: Path, storage: Storage, ledger: Ledger) -> None:
    bundle = tiny.bundle(tmp_path / "run")
    model = models.register(ledger, storage, tiny.run_of(bundle, storage))
    for path in storage.list("runs"):
        storage.delete(path)
    copy = models.fetch(storage, model, tmp_path / "copy")
    copy.check()
    assert (model.name, model.version, model.digest) == ("flights", copy.version, copy.digest)
    assert model.metrics == {"auc": 0.7}


def test_a_registered_version_is_found_by_its_name(tmp_path: Path, storage: Storage, ledger: Ledger) -> None:
    model = models.register(ledger, storage, tiny.run_of(tiny.bundle(tmp_path / "run"), storage))
    assert models.get(ledger, "flights", model.version) == model


def test_registering_again_changes_nothing(tmp_path: Path, storage: Storage, ledger: Ledger) -> None:
    run = tiny.run_of(tiny.bundle(tmp_path / "run"), storage)
    assert models.register(ledger, storage, run) == models.register(ledger, storage, run, {"auc": 0.1})


def test_a_damaged_bundle_is_not_registered(tmp_path: Path, storage: Storage, ledger: Ledger) -> None:
    bundle = tiny.bundle(tmp_path / "run")
    (bundle.folder / "model.onnx").write_bytes(b"")
    with pytest.raises(ModelError, match=r"model\.onnx"):
        models.register(ledger, storage, tiny.run_of(bundle, storage))
    assert storage.list("models") == []


def test_an_alias_moves_from_version_to_version(tmp_path: Path, storage: Storage, ledger: Ledger) -> None:
    assert models.alias(ledger, "flights", "champion") is None
    for run in ("1", "2"):
        bundle = tiny.bundle(tmp_path / run, run=run)
        model = models.register(ledger, storage, tiny.run_of(bundle, storage))
        models.set_alias(ledger, "flights", "champion", model.version)
        assert models.alias(ledger, "flights", "champion") == model


def test_an_alias_of_an_unknown_version_is_refused_and_the_old_one_stays(
    tmp_path: Path, storage: Storage, ledger: Ledger
) -> None:
    model = models.register(ledger, storage, tiny.run_of(tiny.bundle(tmp_path / "run"), storage))
    models.set_alias(ledger, "flights", "champion", model.version)
    with pytest.raises(ModelError, match="no such version"):
        models.set_alias(ledger, "flights", "champion", "nothing")
    assert models.alias(ledger, "flights", "champion") == model


def test_a_bundle_that_is_gone_from_the_store_is_an_error_with_its_uri(
    tmp_path: Path, storage: Storage, ledger: Ledger
) -> None:
    model = models.register(ledger, storage, tiny.run_of(tiny.bundle(tmp_path / "run"), storage))
    for path in storage.list("models"):
        storage.delete(path)
    with pytest.raises(ModelError, match="nothing there"):
        models.fetch(storage, model, tmp_path / "copy")
