"""Requests are checked by the schema of the training rows."""

from __future__ import annotations

import gc
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pandera.pandas import Check, Column, DataFrameSchema

from sailplane.bundles.bundle import Bundle
from sailplane.bundles.checks import Violation
from sailplane.datasets.schema import fields
from sailplane.errors import ConfigurationError
from sailplane.serving import SeldonModel
from sailplane.serving.app import ModelServer
from sailplane.serving.open_inference import grpc as open_inference_grpc
from sailplane.serving.scorer import Scorer
from sailplane.serving.violations import MOST_LISTED, Policy, chosen, declare, declared
from tests.unit.bundles import tiny
from tests.unit.serving.background_load import called
from tests.unit.serving.open_inference.test_messages import INFER

SCHEMA = DataFrameSchema(
    {
        "distance": Column(float, [Check.ge(0), Check.lt(10_000)]),
        "wind": Column(float, Check.in_range(0, 100), nullable=True),
        "seats": Column("Int64", Check.gt(0), nullable=True),
        "carrier": Column(str, Check.isin(["AA", "UA", "B6", "?"])),
        "weekend": Column(bool),
        "scheduled": Column(pd.DatetimeTZDtype("us", "UTC"), Check.gt("2000-01-01")),
        "flight": Column(int, Check.gt(0)),
    }
)
GOLDEN = tiny.frame().assign(flight=7)
GOOD = {**tiny.RECORD, "flight": 7}
BAD = {**GOOD, "carrier": "XX", "distance": -1.0}
SELDON = "/api/v1.0/predictions"
CARRIERS = "isin(['AA', 'UA', 'B6', '?'])"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("violations") / "bundle"
    return tiny.bundle(folder, features=tiny.COLUMNS, inputs=fields(SCHEMA), golden=GOLDEN)


def server(bundle: Bundle, choice: str) -> ModelServer:
    return ModelServer(Scorer(bundle, on_violation=Policy(chosen(choice))))


def post(to: ModelServer, path: str, message: object) -> tuple[int, dict[str, Any]]:
    answer = called(to, "POST", path, json.dumps(message).encode())
    return answer.status_code, answer.json()


def tensors(*records: dict[str, Any]) -> dict[str, Any]:
    kinds = {"distance": "FP64", "wind": "FP64", "seats": "INT64", "carrier": "BYTES", "weekend": "BOOL"}
    kinds |= {"scheduled": "BYTES", "flight": "INT64"}
    given = [name for name in kinds if name in records[0]]
    return {
        "inputs": [
            {"name": name, "datatype": kinds[name], "shape": [len(records)], "data": [one[name] for one in records]}
            for name in given
        ]
    }


@pytest.mark.parametrize(
    ("path", "message"), [(SELDON, {"jsonData": [GOOD, BAD]}), (INFER, tensors(GOOD, BAD))], ids=["seldon", "v2"]
)
def test_a_request_is_refused_with_field_row_value_and_check(bundle: Bundle, path: str, message: object) -> None:
    asked = server(bundle, "refuse")
    status, answer = post(asked, path, message)
    assert status == 400
    assert answer["error"] == ("check field 'distance' of row 1: -1.0; expected greater_than_or_equal_to(0).")
    assert post(asked, SELDON, {"jsonData": GOOD})[0] == 200
    metrics = called(asked, "GET", "/metrics").text
    assert 'sailplane_schema_violations_total{check="greater_than_or_equal_to",field="distance",' in metrics


def test_a_category_that_training_could_not_have_is_refused(bundle: Bundle) -> None:
    status, answer = post(server(bundle, "refuse"), SELDON, {"jsonData": {**GOOD, "carrier": "XX"}})
    assert (status, answer["error"]) == (400, f"check field 'carrier' of row 0: 'XX'; expected {CARRIERS}.")


def test_a_time_is_checked_as_a_time(bundle: Bundle) -> None:
    status, answer = post(
        server(bundle, "refuse"), SELDON, {"jsonData": {**GOOD, "scheduled": "1999-12-31T23:00-01:00"}}
    )
    assert (status, answer["error"]) == (
        400,
        "check field 'scheduled' of row 0: '2000-01-01T00:00:00+00:00'; expected greater_than(2000-01-01).",
    )


def test_a_field_that_no_feature_reads_is_checked_where_it_is_given(bundle: Bundle) -> None:
    asked = server(bundle, "refuse")
    without = {name: value for name, value in GOOD.items() if name != "flight"}
    assert post(asked, SELDON, {"jsonData": without})[0] == 200
    assert post(asked, INFER, tensors(without))[0] == 200
    names = list(without)
    assert post(asked, SELDON, {"data": {"names": names, "ndarray": [list(without.values())]}})[0] == 200
    assert (
        "'flight' of row 0: 0; expected greater_than(0)"
        in post(asked, SELDON, {"jsonData": {**GOOD, "flight": 0}})[1]["error"]
    )


def test_a_flagged_request_is_answered_and_told_of_its_violations(bundle: Bundle) -> None:
    asked = server(bundle, "flag")
    expected = [
        {"row": 1, "field": "distance", "check": "greater_than_or_equal_to(0)", "value": "-1.0"},
        {"row": 1, "field": "carrier", "check": CARRIERS, "value": "'XX'"},
    ]
    status, answer = post(asked, SELDON, {"jsonData": [GOOD, BAD], "meta": {"tags": {"own": 1}}})
    assert (status, len(answer["data"]["ndarray"])) == (200, 2)
    assert answer["meta"]["tags"] == {"own": 1, "violations": expected, "violation_count": 2}
    status, answer = post(asked, INFER, tensors(GOOD, BAD))
    assert (status, answer["parameters"]["violation_count"]) == (200, 2)
    assert json.loads(answer["parameters"]["violations"]) == expected
    assert post(asked, SELDON, {"jsonData": GOOD})[1]["meta"]["tags"] == {}
    metrics = called(asked, "GET", "/metrics").text
    [line] = [line for line in metrics.splitlines() if "violations_total" in line and 'field="carrier"' in line]
    assert line.endswith(" 2.0")


def test_an_answered_request_is_as_any_other_and_counted(bundle: Bundle) -> None:
    asked = server(bundle, "answer")
    status, answer = post(asked, SELDON, {"jsonData": [GOOD, BAD]})
    assert (status, answer["meta"]["tags"]) == (200, {})
    assert "sailplane_schema_violations_total{" in called(asked, "GET", "/metrics").text


def test_a_reply_tells_of_so_many_violations_and_how_many_there_are(bundle: Bundle) -> None:
    tags = post(server(bundle, "flag"), SELDON, {"jsonData": [BAD] * 200})[1]["meta"]["tags"]
    assert (len(tags["violations"]), tags["violation_count"]) == (MOST_LISTED, 400)


def test_a_long_request_in_which_every_row_fails_keeps_no_more_of_them(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    scorer = Scorer(bundle, on_violation=Policy("flag"))
    alive = list[int]()
    violated = scorer.metrics.violated

    def counted(found: Sequence[Violation]) -> None:
        # isinstance would ask lazy objects for their class, and one of torch's warns.
        alive.append(sum(type(thing) is Violation for thing in gc.get_objects()))
        violated(found)

    monkeypatch.setattr(scorer.metrics, "violated", counted)
    # Objects of earlier tests are frozen: scanning them would take longer than a request may last.
    gc.freeze()
    try:
        status, answer = post(ModelServer(scorer), SELDON, {"jsonData": [BAD] * 3000})
    finally:
        gc.unfreeze()
    assert status == 200, answer
    tags = answer["meta"]["tags"]
    assert (len(tags["violations"]), tags["violation_count"]) == (MOST_LISTED, 6000)
    assert (tags["violations"][0]["row"], len(alive) > 10) == (0, True)
    assert max(alive) <= MOST_LISTED + 2 * 2 * scorer.most_rows


def test_nulls_pass_where_pandera_lets_them_pass(bundle: Bundle) -> None:
    assert post(server(bundle, "refuse"), SELDON, {"jsonData": {**GOOD, "wind": None, "seats": None}})[0] == 200


def test_the_choice_of_a_file_changes_while_the_server_runs(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr("sailplane.serving.violations.time.monotonic", lambda: now)
    file = tmp_path / "serving" / "flights.json"
    policy = Policy(file=file)
    assert policy() == "refuse", "that file is not there yet"
    declare(file, "flag")
    assert policy() == "refuse", "it is looked at once a second"
    now = 1.0
    assert (policy(), declared(file)) == ("flag", "flag")
    file.write_text("{")
    now = 2.0
    assert policy() == "flag"
    assert file.stat().st_mode & 0o077 == 0
    with pytest.raises(ConfigurationError, match=r"flights\.json.*Deploy the model again"):
        declared(file)


def test_without_its_file_the_fixed_choice_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("sailplane.serving.violations.time.monotonic", lambda: now)
    file = tmp_path / "flights.json"
    policy = Policy("flag", file)
    assert policy() == "flag"
    declare(file, "answer")
    now = 1.0
    assert policy() == "answer"
    file.unlink()
    now = 2.0
    assert policy() == "flag"


def test_another_choice_is_refused_by_name() -> None:
    with pytest.raises(ConfigurationError, match="read on_violation of deploy: 'warn'; expected 'refuse' or 'flag' or"):
        chosen("warn", "of deploy")


@pytest.mark.parametrize("choice", ["refuse", "flag", "answer"])
def test_seldons_own_server_does_the_same(bundle: Bundle, choice: str) -> None:
    model = SeldonModel(str(bundle.folder), on_violation=choice)
    reply = model.predict_raw({"jsonData": [GOOD, BAD]})
    text = model.metrics_text()
    assert 'field="distance",check="greater_than_or_equal_to"} 1' in text
    if choice == "refuse":
        assert reply["status"]["info"].startswith("check field 'distance' of row 1: -1.0")
    else:
        assert reply["meta"]["tags"].get("violation_count") == (2 if choice == "flag" else None)
        assert 'field="carrier",check="isin"} 1' in text


def test_grpc_parameters_hold_the_violations(bundle: Bundle) -> None:
    answer = {
        "model_name": "m",
        "model_version": "v",
        "outputs": [{"name": "p", "datatype": "FP32", "shape": [1, 1]}],
        "parameters": {"outputs": "late", "violations": "[]", "violation_count": 3},
    }
    made: Any = open_inference_grpc._response(answer, bundle.predict(GOLDEN.head(1)), raw=True)
    assert made.parameters["violation_count"].int64_param == 3
    assert made.parameters["violations"].string_param == "[]"


def test_the_openapi_document_says_what_is_checked(bundle: Bundle) -> None:
    schemas = called(server(bundle, "refuse"), "GET", "/openapi.json").json()["components"]["schemas"]
    record = schemas["Record"]
    assert set(record["required"]) == {"distance", "carrier", "weekend", "scheduled"}
    assert record["properties"]["carrier"]["enum"] == ["?", "AA", "B6", "UA"]
    distance, wind, flight = (record["properties"][name] for name in ("distance", "wind", "flight"))
    assert (distance["minimum"], distance["exclusiveMaximum"]) == (0.0, 10_000.0)
    assert (wind["type"], wind["minimum"], wind["maximum"]) == (["number", "null"], 0.0, 100.0)
    assert flight["description"].endswith("greater_than(0); the model does not read it")
