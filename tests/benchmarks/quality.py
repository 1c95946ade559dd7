"""The model that the pipeline chooses, compared with logistic regression and scikit-learn's gradient boosting on the
same days, rows and features, at 13 as-of dates. Prints all three by date, with their 95% intervals. BENCH_DATES=1 for a
first look."""

from __future__ import annotations

import json
import os
import statistics
import tempfile
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from sklearn.ensemble import HistGradientBoostingClassifier

from sailplane import code
from sailplane.bundles.arrays import arrays_of_frame
from sailplane.evaluation.clusters import Clusters
from sailplane.evaluation.contenders import labelled_rows
from sailplane.evaluation.details import Estimate, details_path
from sailplane.evaluation.intervals import Intervals
from sailplane.evaluation.metrics import metric
from sailplane.files import temporary_folder
from sailplane.records import Evaluation
from sailplane.registry.models import fetch_bundle
from sailplane.services.airflow_api import DagRun
from sailplane.storage import Storage
from sailplane.training.arrays import Split
from sailplane.training.data import prepare
from tests.benchmarks import verified
from tests.benchmarks.row import Row
from tests.platform import Platform, started

PROJECT = Path(__file__).parents[2]
FIRST, DATES, APART = datetime(2013, 7, 5, tzinfo=UTC), int(os.environ.get("BENCH_DATES", "13")), timedelta(days=14)
CONTENDERS = ("pipeline", "logistic regression", "gradient boosting")
# A run takes half a minute, and the runs follow one another.
SECONDS = 3600.0


def rows() -> Iterator[Row]:
    with (
        tempfile.TemporaryDirectory(prefix="sailplane-bench-") as folder,
        started(Path(folder, "home"), PROJECT) as platform,
    ):
        found = _measured(platform)
    Console(stderr=True, width=140).print(_table(found))
    ours, linear, boosted = (statistics.mean(day[name].value for day in found.values()) for name in CONTENDERS)
    of = f"mean AUC of {DATES} dates"
    yield Row(of, ours, linear, "AUC", "logistic regression", "at least 0.01 more")
    yield Row(of, ours, boosted, "AUC", "HistGradientBoosting, early stopping", "at least it")


def _measured(platform: Platform) -> dict[datetime, Mapping[str, Estimate]]:
    dates = [FIRST + n * APART for n in range(DATES)]
    runs = {as_of: platform.trigger("flights", {"as_of": f"{as_of:%Y-%m-%d}"}) for as_of in dates}
    for run in runs.values():
        assert platform.wait(run, SECONDS) == "success"
    return {as_of: _contenders(platform, run) for as_of, run in runs.items()}


def _contenders(platform: Platform, run: DagRun) -> dict[str, Estimate]:
    storage = Storage(platform.home.store)
    judged = Evaluation.from_dict(platform.xcom(run, "evaluate"))
    details = json.loads(storage.get(details_path(judged.run.id)))
    known = {one["contender"]: one["estimate"] for one in details["metrics"] if one["metric"] == "auc"}
    ours, linear = (Estimate.from_dict(known[name]) for name in ("challenger", "baseline"))
    boosted = _boosted(storage, judged)
    return dict(zip(CONTENDERS, (ours, linear, boosted), strict=True))


def _boosted(storage: Storage, judged: Evaluation) -> Estimate:
    """Judges the model on the same rows as the others. Its interval also counts days."""
    run, dataset = judged.run, judged.run.dataset
    features = code.load("include.flights.features")
    data = prepare(storage, dataset, features)
    with temporary_folder() as scratch:
        bundle = fetch_bundle(storage, run.bundle, Path(scratch, "bundle"))
        frame, target, days = labelled_rows(storage, run, judged.window, bundle)
    verified.same_numbers("gradient boosting, rows", [len(target)], [judged.rows], tolerance=0)
    tested = Split(features=features.transform(arrays_of_frame(frame, dataset.schema), data.state), target=target)
    numbers, categories = (data.train.features[name].shape[1] for name in ("numbers", "categories"))
    # Early stopping and categories by their columns, as its guide has it for tables of this size.
    # https://scikit-learn.org/stable/modules/ensemble.html#histogram-based-gradient-boosting
    model = HistGradientBoostingClassifier(
        early_stopping=True, categorical_features=list(range(numbers, numbers + categories)), random_state=0
    )
    model.fit(_inputs(data.train), data.train.target)
    scores = model.predict_proba(_inputs(tested))[:, 1:]
    known = Intervals.of(Clusters.of(days), target, {"boosted": scores})
    return known.estimate("boosted", "auc", metric("auc", target, scores))


def _inputs(split: Any) -> Any:
    return np.concatenate([split.features["numbers"], split.features["categories"]], axis=1)


def _table(found: Mapping[datetime, Mapping[str, Estimate]]) -> Table:
    drawn = Table("as of", *(f"AUC, {name}" for name in CONTENDERS))
    for as_of, day in found.items():
        drawn.add_row(f"{as_of:%Y-%m-%d}", *(_with_interval(day[name]) for name in CONTENDERS))
    return drawn


def _with_interval(auc: Estimate) -> str:
    return f"{auc.value:.4f} ({auc.low:.4f} to {auc.high:.4f})"
