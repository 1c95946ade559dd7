from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from sailplane.registry.models import measured_on, register
from sailplane.storage import Storage
from tests.homes import new_ledger
from tests.unit.bundles import tiny


def test_metrics_are_shown_with_the_days_that_they_were_measured_on(tmp_path: Path) -> None:
    ledger, storage = new_ledger(f"sqlite:///{tmp_path / 'ledger.db'}"), Storage((tmp_path / "store").as_uri())
    run = tiny.run_of(tiny.bundle(tmp_path / "bundle"), storage)
    model = register(ledger, storage, run)
    assert measured_on(model) == "validation 2025-12-18..2025-12-25"
    evaluation = tiny.evaluation_of(run)
    judged = replace(model, evaluation=evaluation, metrics=evaluation.metrics["challenger"])
    assert measured_on(judged) == f"test {evaluation.window}"
    assert measured_on(replace(judged, metrics={"validation_auc": 0.7})) == "validation 2025-12-18..2025-12-25"
    assert measured_on(replace(model, lineage=None)) == "not recorded"
