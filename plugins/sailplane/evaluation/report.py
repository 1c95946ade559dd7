"""The report of an evaluation, put on the store beside its run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sailplane.errors import ConfigurationError
from sailplane.evaluation import library
from sailplane.evaluation.details import Details, details_path, report_path
from sailplane.evaluation.page import Swept, page
from sailplane.ledger import Ledger
from sailplane.records import Evaluation, Run
from sailplane.storage import Storage
from sailplane.sweeps import results


def publish(storage: Storage, ledger: Ledger, evaluation: Evaluation) -> Evaluation:
    """Writes runs/<run>/report.html, in place of an earlier one, and gives the evaluation that names it. All reports
    share one copy of the chart library."""
    run, path = evaluation.run, report_path(evaluation.run.id)
    details = storage.read_json(details_path(run.id), Details.from_dict, "Evaluate the run again.")
    drawn = page(evaluation, details, history=_history(storage, run), swept=_swept(ledger, run), stored=path)
    library.keep(storage)
    storage.put(path, drawn.encode())
    return replace(evaluation, report=storage.uri(path))


def _history(storage: Storage, run: Run) -> list[Mapping[str, Any]]:
    """The rows that the training logged; empty if it logged none."""
    try:
        return storage.read_json(f"runs/{run.id}/history.json", list, "Train the model again.")
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
