from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from sailplane.errors import ModelError
from sailplane.ledger import Ledger, tables
from sailplane.records import Model
from sailplane.registry import models
from sailplane.storage import Storage
from tests.unit.bundles import tiny


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


@pytest.mark.parametrize("name", ["model.onnx", "manifest.json", "state.json"])
def test_a_damaged_bundle_is_named_by_its_place_in_the_store(
    tmp_path: Path, storage: Storage, ledger: Ledger, name: str
) -> None:
    run = tiny.run_of(tiny.bundle(tmp_path / "run"), storage)
    model = models.register(ledger, storage, run)
    storage.put(f"{storage.path(model.uri)}/{name}", b"{}")
    with pytest.raises(ModelError, match=rf"^fetch bundle {model.uri}: it is damaged: .*{name}.*Restore it"):
        models.fetch(storage, model, tmp_path / "copy")


def test_a_bundle_that_is_not_the_one_that_was_judged_is_not_registered(
    tmp_path: Path, storage: Storage, ledger: Ledger
) -> None:
    """Clearing the train step during an approval replaces the bundle."""
    bundle = tiny.bundle(tmp_path / "run")
    run = tiny.run_of(bundle, storage)
    assert models.register(ledger, storage, replace(run, digest=bundle.digest)).digest == bundle.digest
    with pytest.raises(ModelError, match=r"expected 000000000000\. Clear the tasks that follow the train step too"):
        models.register(ledger, storage, replace(run, digest="0" * 64))


def test_an_alias_moves_from_version_to_version(tmp_path: Path, storage: Storage, ledger: Ledger) -> None:
    assert models.alias(ledger, "flights", "champion") is None
    for run in ("1", "2"):
        bundle = tiny.bundle(tmp_path / run, run=run)
        model = models.register(ledger, storage, tiny.run_of(bundle, storage))
        models.promote(ledger, "flights", model.version)
        assert models.alias(ledger, "flights", "champion") == model


def test_an_alias_of_an_unknown_version_is_refused_and_the_old_one_stays(
    tmp_path: Path, storage: Storage, ledger: Ledger
) -> None:
    model = models.register(ledger, storage, tiny.run_of(tiny.bundle(tmp_path / "run"), storage))
    models.promote(ledger, "flights", model.version)
    with pytest.raises(ModelError, match="no such version"):
        models.promote(ledger, "flights", "nothing")
    assert models.alias(ledger, "flights", "champion") == model


def test_a_bundle_that_is_gone_from_the_store_is_an_error_with_its_uri(
    tmp_path: Path, storage: Storage, ledger: Ledger
) -> None:
    model = models.register(ledger, storage, tiny.run_of(tiny.bundle(tmp_path / "run"), storage))
    for path in storage.list("models"):
        storage.delete(path)
    with pytest.raises(ModelError, match="nothing there"):
        models.fetch(storage, model, tmp_path / "copy")


def registered(
    tmp_path: Path, storage: Storage, ledger: Ledger, run: str, *, passed: bool | None = None, model: str = "flights"
) -> Model:
    made = tiny.run_of(tiny.bundle(tmp_path / run, run=run, model=model), storage)
    evaluation = None if passed is None else tiny.evaluation_of(made, passed=passed)
    return models.register(ledger, storage, made, {"auc": 0.7}, evaluation)


def aliases(ledger: Ledger, name: str = "flights") -> dict[str, str]:
    found = ((alias, models.alias(ledger, name, alias)) for alias in ("champion", "challenger", "previous"))
    return {alias: model.run for alias, model in found if model}


def test_a_version_is_kept_with_its_run_and_its_evaluation(tmp_path: Path, storage: Storage, ledger: Ledger) -> None:
    model = registered(tmp_path, storage, ledger, "run-1", passed=True)
    kept = models.get(ledger, "flights", model.version)
    assert kept == model
    assert kept.lineage
    assert kept.lineage.id == "run-1"
    assert kept.evaluation
    assert kept.evaluation.run == kept.lineage


def test_a_version_that_was_registered_before_there_was_a_lineage_is_still_read(
    tmp_path: Path, storage: Storage, ledger: Ledger
) -> None:
    model = registered(tmp_path, storage, ledger, "run-1")
    old = {key: value for key, value in model.to_dict().items() if key not in ("lineage", "evaluation")}
    with ledger.begin() as connection:
        connection.execute(sa.update(tables.models).values(record=old))
    assert models.get(ledger, "flights", model.version) == replace(model, lineage=None)


def test_a_promoted_version_sends_the_champion_to_previous_and_a_second_promotion_changes_nothing(
    tmp_path: Path, storage: Storage, ledger: Ledger
) -> None:
    first, second = (registered(tmp_path, storage, ledger, run) for run in ("run-1", "run-2"))
    models.promote(ledger, "flights", first.version)
    assert aliases(ledger) == {"champion": "run-1"}
    for _ in range(2):
        models.promote(ledger, "flights", second.version)
        assert aliases(ledger) == {"champion": "run-2", "previous": "run-1"}
    models.promote(ledger, "flights", first.version)
    assert aliases(ledger) == {"champion": "run-1", "previous": "run-2"}
    with pytest.raises(ModelError, match="no such version"):
        models.promote(ledger, "flights", "nothing")
    assert aliases(ledger) == {"champion": "run-1", "previous": "run-2"}


@pytest.mark.slow
def test_the_challenger_is_who_passed_and_has_not_served(tmp_path: Path, storage: Storage, ledger: Ledger) -> None:
    registered(tmp_path, storage, ledger, "run-1", passed=False)
    assert aliases(ledger) == {}
    second = registered(tmp_path, storage, ledger, "run-2", passed=True)
    registered(tmp_path, storage, ledger, "run-3", passed=True, model="other")
    assert aliases(ledger) == {"challenger": "run-2"}
    models.promote(ledger, "flights", second.version)
    registered(tmp_path, storage, ledger, "run-2", passed=True)
    assert aliases(ledger) == {"champion": "run-2"}
    assert aliases(ledger, "other") == {"challenger": "run-3"}


def test_a_model_is_found_by_name_by_version_and_by_alias(tmp_path: Path, storage: Storage, ledger: Ledger) -> None:
    first, second = (registered(tmp_path, storage, ledger, run) for run in ("run-1", "run-2"))
    assert models.find(ledger, "flights") == second
    assert models.find(ledger, f"flights@{first.version}") == first
    models.promote(ledger, "flights", first.version)
    assert models.find(ledger, "flights") == models.find(ledger, "flights@champion") == first
    assert [version.aliases for version in models.versions(ledger)] == [(), ("champion",)]
    with pytest.raises(ModelError, match=r"flights@previous: no such version\. `sailplane models list`"):
        models.find(ledger, "flights@previous")
    with pytest.raises(ModelError, match="nothing: no such model"):
        models.find(ledger, "nothing")


def test_a_copy_that_was_collected_before_it_had_a_row_is_made_again(
    tmp_path: Path, storage: Storage, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep = models._keep

    def collected_before(ledger: Ledger, model: Model) -> Model:
        for path in storage.list("models"):
            storage.delete(path)
        return keep(ledger, model)

    monkeypatch.setattr(models, "_keep", collected_before)
    model = registered(tmp_path, storage, ledger, "run-1")
    models.fetch(storage, model, tmp_path / "copy").check()


DAY = timedelta(days=1)


@pytest.fixture
def three(tmp_path: Path, storage: Storage, ledger: Ledger) -> list[Model]:
    """Registers versions as of three consecutive days."""
    made = []
    for day in range(3):
        run = tiny.run_of(tiny.bundle(tmp_path / str(day), run=f"run-{day}"), storage)
        model = models.register(ledger, storage, run)
        with ledger.begin() as connection:
            row = sa.and_(tables.models.c.name == model.name, tables.models.c.version == model.version)
            model = replace(model, as_of=tiny.AS_OF + day * DAY)
            connection.execute(sa.update(tables.models).where(row).values(record=model.to_dict(), created=float(day)))
        made.append(model)
    return made


def test_a_name_means_the_champion_to_all_who_stand_at_its_as_of_or_later(ledger: Ledger, three: list[Model]) -> None:
    models.promote(ledger, "flights", three[1].version)
    for days in (1, 2, 30):
        assert models.known_at(ledger, "flights", tiny.AS_OF + days * DAY) == three[1]


def test_to_who_stands_before_that_it_means_the_newest_version_that_has_seen_no_later_days(
    ledger: Ledger, three: list[Model]
) -> None:
    models.promote(ledger, "flights", three[2].version)
    assert [models.known_at(ledger, "flights", tiny.AS_OF + n * DAY) for n in range(3)] == three
    with pytest.raises(ModelError, match=r"trained on later data.* up to 2026-01-03.*name it: flights@champion"):
        models.known_at(ledger, "flights", tiny.AS_OF - DAY)


def test_a_name_that_has_no_champion_means_nothing(ledger: Ledger, three: list[Model]) -> None:
    for name in ("flights", "others"):
        with pytest.raises(ModelError, match=f"find the champion of {name}: there is none"):
            models.known_at(ledger, name, tiny.AS_OF + 30 * DAY)
