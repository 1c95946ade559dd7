from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

from huggingface_hub import ModelCard

from sailplane.ledger import Ledger
from sailplane.records import Check, Evaluation, Model
from sailplane.registry import models
from sailplane.registry.card import card
from sailplane.storage import Storage
from tests.unit.bundles import tiny


@dataclass(frozen=True, kw_only=True)
class Approved(Evaluation):
    approval: object = None


def made(tmp_path: Path, storage: Storage, ledger: Ledger) -> tuple[Model, ModelCard]:
    run = tiny.run_of(tiny.bundle(tmp_path / "run"), storage)
    run = replace(run, config={"hidden": [8]}, sweep="flights/s", trial=3, code="c" * 64, train="include.x.model:train")
    evaluation = tiny.evaluation_of(run)
    model = models.register(ledger, storage, run, evaluation.metrics["challenger"], evaluation)
    return model, ModelCard(storage.get(f"models/flights/{model.version}/README.md").decode())


def test_a_version_has_a_card_that_the_hub_reads(tmp_path: Path, storage: Storage, ledger: Ledger) -> None:
    _, found = made(tmp_path, storage, ledger)
    assert found.data.library_name == "onnx"
    assert {"sailplane", "onnx"} <= set(found.data.tags)
    assert found.data.datasets == ["flights"]
    assert found.data.metrics == ["auc"]
    (result,) = found.data.eval_results
    assert (result.metric_type, result.metric_value, result.dataset_revision) == ("auc", 0.7, "d1")


def test_a_card_says_what_it_is_made_of_how_good_it_is_and_how_to_ask_it(
    tmp_path: Path, storage: Storage, ledger: Ledger
) -> None:
    model, found = made(tmp_path, storage, ledger)
    text = found.text
    assert "| metric | challenger | baseline |\n|---|---:|---:|\n| auc | 0.7000 | 0.6500 |" in text
    assert "- passed: minimum: auc 0.7000, expected at least 0.5500" in text
    for fact in ("run-1", "flights/s, trial 3", '{"hidden": [8]}', "c" * 64, model.digest, "include.x.model:train"):
        assert f"| `{fact}` |" in text
    assert f"sailplane reproduce flights@{model.version}" in text
    assert "sailplane predict flights --json '{" in text


def test_a_card_says_which_checks_travel_and_which_do_not(tmp_path: Path, storage: Storage, ledger: Ledger) -> None:
    check = Check(name="isin", arguments={"allowed_values": ["AA", "UA", "B6", "?"]}, says="isin(['AA', 'UA'])")
    inputs = tuple(replace(field, checks=(check,) if field.name == "carrier" else ()) for field in tiny.INPUTS)
    bundle = tiny.bundle(tmp_path / "run", inputs=inputs, unchecked=("distance: is_far", "the frame: unique"))
    run = tiny.run_of(bundle, storage)
    text = card(models.register(ledger, storage, run, {"auc": 0.7}, tiny.evaluation_of(run)), bundle).text
    assert "| carrier | string | no | yes | isin(['AA', 'UA']) |" in text
    assert (
        "Checks of the training rows that are not applied to requests:\n\n- distance: is_far\n- the frame: unique"
        in text
    )


def test_the_code_of_a_card_loads_the_bundle_beside_it(
    tmp_path: Path, storage: Storage, ledger: Ledger, monkeypatch, capsys
) -> None:
    model, found = made(tmp_path, storage, ledger)
    models.fetch(storage, model, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    code = re.search(r"```python\n(.*?)```", found.text, re.DOTALL)
    assert code
    exec(code[1], {})  # noqa: S102
    assert capsys.readouterr().out.startswith("[[0.")


def test_who_approved_it_and_why_is_on_the_card_and_breaks_no_markdown(
    tmp_path: Path, storage: Storage, ledger: Ledger
) -> None:
    model, _ = made(tmp_path, storage, ledger)
    note = SimpleNamespace(approved=True, by="ada", note="Good.\n---\n| a |", at=datetime(2026, 1, 2, tzinfo=UTC))
    evaluation = model.evaluation
    assert evaluation
    approved = Approved(**{**vars(evaluation), "approval": note})
    text = card(replace(model, evaluation=approved), tiny.bundle(tmp_path / "again")).text
    assert "Approved by ada on 2026-01-02 00:00 UTC.\n\n> Good.\n> ---\n> | a |\n" in text


def test_a_card_of_a_version_without_lineage_says_what_is_known(tmp_path: Path) -> None:
    bundle = tiny.bundle(tmp_path / "run")
    model = Model(
        name="flights",
        version=bundle.version,
        uri="file:///x",
        digest=bundle.digest,
        run="run-1",
        dataset="d1",
        as_of=tiny.AS_OF,
        metrics={"auc": 0.7},
    )
    found = card(model, bundle)
    assert "| auc | 0.7000 |" in found.text
    assert "Lineage" not in found.text
    assert found.data.eval_results[0].dataset_split == "validation"
