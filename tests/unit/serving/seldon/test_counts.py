"""SeldonModel's counts are read like our own server's."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from pathlib import Path

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from sailplane.bundles.bundle import Bundle
from sailplane.deployment.prometheus import observations
from sailplane.serving import SeldonModel
from sailplane.serving.metrics import Metrics
from sailplane.serving.observations import LATENCY, LATENCY_BOUNDS, PREDICTION_BOUNDS, REQUESTS, SCORE
from sailplane.serving.seldon.counts import SharedCounts
from tests.unit.bundles import tiny

SCORES = np.array([[0.05], [0.051], [0.5], [0.97]], dtype="float32")


@pytest.fixture
def counts() -> SharedCounts:
    return SharedCounts("flights", "v1")


def test_it_counts_what_our_own_server_counts(counts: SharedCounts) -> None:
    ours = Metrics("flights", "v1", lambda: 0)
    for status, seconds, scores in (
        (200, 0.0004, SCORES),
        (200, 0.02, SCORES[:2]),
        (422, 0.1, None),
        (500, 99.0, None),
    ):
        counts.answered(status, seconds, scores)
        ours.answered("seldon", status, seconds, {})
        if scores is not None:
            ours.scored(len(scores), scores, seconds)
    theirs, mine = observations(ours.text().decode(), "v1"), observations(counts.text(), "v1")
    assert mine.started > 0
    assert (mine.requests, mine.errors, mine.latency, mine.predictions) == (
        theirs.requests,
        theirs.errors,
        theirs.latency,
        theirs.predictions,
    )


def test_a_scraper_reads_whole_histograms(counts: SharedCounts) -> None:
    counts.answered(200, 0.25, SCORES)
    families = {family.name: family for family in text_string_to_metric_families(counts.text())}
    assert {name: families[name].type for name in (REQUESTS, LATENCY, SCORE)} == {
        REQUESTS: "counter",
        LATENCY: "histogram",
        SCORE: "histogram",
    }
    values = {(one.name, one.labels.get("le")): one.value for family in families.values() for one in family.samples}
    assert (values[f"{LATENCY}_count", None], values[f"{LATENCY}_sum", None]) == (1, 0.25)
    assert values[f"{SCORE}_bucket", "+Inf"] == values[f"{SCORE}_count", None] == 4
    assert values[f"{SCORE}_sum", None] == pytest.approx(SCORES.sum())
    assert len([key for key in values if key[0] == f"{SCORE}_bucket"]) == len(PREDICTION_BOUNDS) + 1
    assert len([key for key in values if key[0] == f"{LATENCY}_bucket"]) == len(LATENCY_BOUNDS) + 1


@pytest.mark.slow
def test_the_processes_and_threads_of_a_server_count_together(counts: SharedCounts) -> None:
    def work() -> None:
        threads = [threading.Thread(target=answer) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def answer() -> None:
        for _ in range(100):
            counts.answered(200, 0.01, SCORES)

    workers = [multiprocessing.get_context("fork").Process(target=work) for _ in range(2)]
    for worker in workers:
        worker.start()
    work()
    for worker in workers:
        worker.join()
    seen = observations(counts.text(), "v1")
    assert (seen.requests, seen.latency.count, seen.predictions.count) == (900, 900, 3600)


def test_a_process_that_is_killed_in_the_middle_holds_nobody_up(counts: SharedCounts) -> None:
    def die() -> None:
        with counts._locked():
            os.kill(os.getpid(), signal.SIGKILL)

    worker = multiprocessing.get_context("fork").Process(target=die)
    worker.start()
    worker.join()
    counts.answered(200, 0.01, None)
    assert observations(counts.text(), "v1").requests == 1


def test_each_answer_is_counted_by_its_status_the_bad_ones_too(bundle: Bundle, tmp_path: Path) -> None:
    model = SeldonModel(str(bundle.folder))
    for message in ({"jsonData": tiny.RECORD}, {"jsonData": [tiny.RECORD] * 3}, {"jsonData": {}}, []):
        model.predict_raw(message)
    seen = observations(model.metrics_text(), bundle.version)
    assert (seen.requests, seen.errors, seen.latency.count, seen.predictions.count) == (2, 0, 4, 4)
    features = tiny.FEATURES.replace("    numbers =", '    if (frame["carrier"] == "XX").any(): 1 / 0\n    numbers =')
    broken = SeldonModel(str(tiny.bundle(tmp_path / "bundle", features=features).folder))
    broken.predict_raw({"jsonData": {**tiny.RECORD, "carrier": "XX"}})
    assert observations(broken.metrics_text(), bundle.version).errors == 1
