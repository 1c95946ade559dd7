"""Models that cannot be scored: damaged bundles, and features or graphs that fail on the test rows."""

from __future__ import annotations

import re

import pytest

from sailplane.errors import ModelError
from sailplane.evaluation import evaluate
from sailplane.evaluation.markdown import figures
from sailplane.evaluation.metrics import by_class
from sailplane.evaluation.page import page
from sailplane.registry import models
from tests.unit.evaluation.toy import FEATURES, Toy

GOOD, BAD = [[1.0], [0.0]], [[-1.0], [0.0]]
BUNDLE = ("features.py", "golden.json", "manifest.json", "model.onnx", "state.json")
HEIGHT = 'frame["height"].to_numpy("float32")'
# Feature code that fails on the rows of the test window, and works on the two golden rows.
UNSCORED = [
    (
        'frame["height"].where((frame["height"] < 2) | (len(frame) < 9)).to_numpy("float32")',
        r"score toy: \d+ of 907 rows",
    ),
    ('(frame["height"] if len(frame) < 9 else frame["width"]).to_numpy("float32")', "KeyError: 'width'"),
    ('frame["height"].to_numpy("float32" if len(frame) < 9 else "float64")', r"score toy: \[ONNXRuntimeError\]"),
    ('frame["height"].to_numpy("float32")[: 9]', "ValueError: "),
]


def test_a_bundle_that_scores_otherwise_than_in_training_does_not_pass(toy: Toy) -> None:
    """Its features depend on an environment variable."""
    features = FEATURES.replace("import numpy as np", "import os\nimport numpy as np").replace(
        '["height"].to_numpy("float32")', '["height"].to_numpy("float32") * float(os.environ.get("TOY_FACTOR", 1))'
    )
    run = toy.train("new", GOOD, features=features)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TOY_FACTOR", "1.5")
        got = evaluate(toy.storage, run=run)
    [rule] = [rule for rule in got.rules if not rule.passed]
    assert rule.name == "serves"
    assert "off by up to" in rule.got
    assert toy.details(got).latency_ms is None


def test_a_champion_that_predicts_something_else_is_refused(toy: Toy) -> None:
    champion = toy.registered(toy.train("champion", GOOD, target="tall"))
    with pytest.raises(ModelError, match="the champion predicts tall: tall; expected good: good"):
        evaluate(toy.storage, run=toy.train("new", GOOD), champion=champion)


def test_a_champion_that_no_longer_loads_is_named_with_the_remedy_and_stays(toy: Toy) -> None:
    champion = toy.registered(toy.train("champion", GOOD))
    models.promote(toy.ledger, "toy", champion.version)
    for path in toy.storage.list(toy.storage.path(champion.uri)):
        toy.storage.delete(path)
    with pytest.raises(ModelError) as raised:
        evaluate(toy.storage, run=toy.train("new", BAD), champion=champion)
    said = str(raised.value)
    assert said.startswith(
        f"judge against the champion toy {champion.version}: fetch bundle {champion.uri}: nothing there"
    )
    assert (
        f"It stays the champion. Put its files back at {champion.uri}, from a backup or from runs/champion/bundle"
        in said
    )
    assert models.alias(toy.ledger, "toy", "champion") == champion
    assert toy.storage.list("runs/new") == [f"runs/new/bundle/{name}" for name in sorted(BUNDLE)], "nothing was judged"


@pytest.mark.parametrize("name", ["model.onnx", "features.py"])
def test_a_champion_whose_checksum_is_wrong_is_named_with_the_file(toy: Toy, name: str) -> None:
    champion = toy.registered(toy.train("champion", GOOD))
    toy.storage.put(f"{toy.storage.path(champion.uri)}/{name}", b"other bytes")
    with pytest.raises(
        ModelError, match=rf"judge against the champion toy \w+: fetch bundle .*{name}: digest \w+; expected"
    ):
        evaluate(toy.storage, run=toy.train("new", GOOD), champion=champion)


def test_a_challenger_whose_checksum_is_wrong_is_refused(toy: Toy) -> None:
    run = toy.train("new", GOOD)
    toy.storage.put("runs/new/bundle/model.onnx", b"other bytes")
    with pytest.raises(ModelError, match=r"fetch bundle .*: open bundle .*model\.onnx: digest \w+; expected \w+"):
        evaluate(toy.storage, run=run)


def test_a_champion_whose_features_do_not_know_the_data_any_more_is_named(toy: Toy) -> None:
    features = FEATURES.replace('"red")', '"red" if len(frame) < 9 else frame["width"])')
    champion = toy.registered(toy.train("champion", GOOD, features=features))
    with pytest.raises(ModelError, match=r"judge against the champion toy \w+: KeyError: 'width'"):
        evaluate(toy.storage, run=toy.train("new", GOOD), champion=champion)


@pytest.mark.parametrize(("height", "said"), UNSCORED, ids=["NaN", "raises", "the graph raises", "too few rows"])
def test_a_challenger_that_does_not_score_the_rows_is_rejected(toy: Toy, height: str, said: str) -> None:
    assert HEIGHT in FEATURES
    champion = toy.registered(toy.train("champion", GOOD))
    run = toy.train("new", GOOD, features=FEATURES.replace(HEIGHT, height, 1))
    got = evaluate(toy.storage, run=run, baseline=toy.train("plain").bundle, champion=champion)
    assert not got.passed
    assert set(got.metrics) == {"champion", "baseline"}
    assert got.day_gains == {}
    (rule,) = got.rules
    assert (rule.name, rule.passed) == ("serves", False)
    assert re.match(said, rule.got)
    assert got.reasons == (f"failed: serves: {rule.got}, expected a score for every test row",)
    found = toy.details(got)
    assert {measured.contender for measured in found.metrics} == {"champion", "baseline"}
    drawn = page(got, found, stored="runs/new/report.html")
    assert "does not score the test rows" in drawn
    assert got.classes
    assert by_class(got.classes) in drawn
    assert "| champion " in figures(got)


def test_a_challenger_without_scores_is_rejected_without_a_champion_too(toy: Toy) -> None:
    run = toy.train("new", GOOD, features=FEATURES.replace(HEIGHT, UNSCORED[1][0], 1))
    got = evaluate(toy.storage, run=run)
    assert (got.passed, got.metrics) == (False, {})
    assert "serves" in page(got, toy.details(got))
    assert "KeyError" in figures(got)


def test_a_machine_without_memory_says_nothing_about_the_model(toy: Toy) -> None:
    """The model runs out of memory for single rows, which only the check that it serves sends."""
    height = '(frame["height"] if len(frame) > 1 else np.empty(2**50)).to_numpy("float32")'
    run = toy.train("new", GOOD, features=FEATURES.replace(HEIGHT, height, 1))
    with pytest.raises(MemoryError):
        evaluate(toy.storage, run=run)


def test_a_graph_that_fails_for_exactly_one_row_is_rejected(toy: Toy) -> None:
    features = FEATURES.replace(HEIGHT, 'frame["height"].to_numpy("float64" if len(frame) == 1 else "float32")', 1)
    features = features.replace(
        'frame["colour"] == "red").to_numpy("float32")',
        'frame["colour"] == "red").to_numpy("float64" if len(frame) == 1 else "float32")',
    )
    got = evaluate(toy.storage, run=toy.train("new", GOOD, features=features))
    assert not got.passed
    (failed,) = (rule for rule in got.rules if not rule.passed)
    assert failed.name == "serves"
    assert failed.got.startswith("score toy: [ONNXRuntimeError]")
    assert toy.details(got).latency_ms is None
    assert "challenger" in got.metrics


def test_a_baseline_that_does_not_score_the_rows_is_left_out_and_the_reason_says_so(toy: Toy) -> None:
    baseline = toy.train("plain", GOOD, features=FEATURES.replace(HEIGHT, UNSCORED[1][0], 1))
    got = evaluate(toy.storage, run=toy.train("new", GOOD), baseline=baseline.bundle)
    assert got.passed
    assert set(got.metrics) == {"challenger"}
    told = "for information: judged without the baseline, which does not score the test rows: KeyError: 'width'"
    assert got.reasons[-1] == told
    assert "judged without the baseline" in page(got, toy.details(got))


def test_a_model_whose_importance_cannot_be_measured_is_judged_all_the_same(toy: Toy) -> None:
    """The feature code relies on relations between rows, which the measurement of importance destroys."""
    features = (
        FEATURES.replace(
            "    height =",
            """    if len(frame) > 9 and not frame["height"].is_monotonic_increasing and seen:
        raise KeyError("mixed")
    seen.append(1)
    height =""",
            1,
        )
        .replace("def transform", "seen = []\n\ndef transform")
        .replace("and seen", "and len(seen) > 40")
    )
    got = evaluate(toy.storage, run=toy.train("new", GOOD, features=features))
    assert got.passed
    assert toy.details(got).notes == ("importance: KeyError: 'mixed'",)


def test_a_bundle_that_is_gone_is_named(toy: Toy) -> None:
    with pytest.raises(ModelError, match=r"fetch bundle file:.*/runs/x/bundle: nothing there"):
        evaluate(toy.storage, run=toy.train("new", GOOD), baseline=toy.storage.uri("runs/x/bundle"))
