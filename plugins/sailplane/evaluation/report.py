"""The report of an evaluation, put on the store beside its run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sailplane.errors import ConfigurationError
from sailplane.evaluation.details import Details, details_path, report_path
from sailplane.evaluation.page import Swept, page
from sailplane.ledger import Ledger
from sailplane.records import Evaluation, Run
from sailplane.storage import Storage
from sailplane.sweeps import results


def publish(storage: Storage, ledger: Ledger, evaluation: Evaluation) -> Evaluation:
    """Writes runs/<run>/report.html, in place of an earlier one, and gives the evaluation that names it."""
    run = evaluation.run
    details = Details.from_dict(json.loads(storage.get(details_path(run.id))))
    drawn = page(evaluation, details, history=_history(storage, run), swept=_swept(ledger, run))
    storage.put(report_path(run.id), drawn.encode())
    return replace(evaluation, report=storage.uri(report_path(run.id)))


def _history(storage: Storage, run: Run) -> list[Mapping[str, Any]]:
    """What the training logged; nothing where it left nothing."""
    try:
        return list(json.loads(storage.get(f"runs/{run.id}/history.json")))
    except FileNotFoundError:
        return []


def _swept(ledger: Ledger, run: Run) -> Swept | None:
    """None where the run is no trial's, or its sweep was forgotten since (`sailplane sweep restart`)."""
    if run.sweep is None:
        return None
    try:
        config = results.read(ledger, run.sweep).config
    except ConfigurationError:
        return None
    return Swept(config, results.trials(ledger, run.sweep), results.failures(ledger, run.sweep))
