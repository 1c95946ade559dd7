"""Publishes the report of an evaluation in the folder of its run."""

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
    """Writes runs/<run>/report.html, replacing an earlier one, and returns the evaluation with its URI. All reports
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
    """None if the run belongs to no trial, or its sweep was deleted (`sailplane sweep restart`)."""
    if run.sweep is None:
        return None
    try:
        config = results.read(ledger, run.sweep).config
    except ConfigurationError:
        return None
    return Swept(config, results.trials(ledger, run.sweep), results.failures(ledger, run.sweep))
