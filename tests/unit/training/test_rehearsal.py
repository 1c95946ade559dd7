from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from sailplane.bundles import writing
from sailplane.bundles.bundle import Bundle
from sailplane.bundles.features import Features, load_features, rows_for
from sailplane.errors import TrainingError
from sailplane.records import Check, Field
from sailplane.training.export import predicted, to_onnx
from sailplane.training.rehearsal import cases, rehearse

ROWS = pd.DataFrame(
    {
        "height": np.linspace(-1, 1, 40),
        "colour": pd.Series(["red", "blue"] * 20, dtype="str"),
        "code": pd.Series(["AB1", "CD2"] * 20, dtype="str"),
        "gate": [1, 2, 4, 5] * 10,
        "night": [False] * 40,
    }
)
CODE = Check(name="str_matches", arguments={"pattern": {"regex": "[A-Z]{2}[0-9]$", "flags": 0}}, says="a code")
COLOURS = Check(name="isin", arguments={"allowed_values": ["red", "blue"]}, says="red or blue")
INPUTS = (
    Field(name="height", kind="number", nullable=True),
    Field(name="colour", kind="string"),
    Field(name="code", kind="string", nullable=True, checks=(CODE,)),
    Field(name="gate", kind="integer"),
    Field(name="night", kind="boolean"),
)
GOOD = """
import numpy as np

def transform(columns, state):
    colour = [state["colours"].get(value, 0.0) for value in columns["colour"]]
    height = np.nan_to_num(columns["height"], nan=0.25)
    known = [value is not None for value in columns["code"]]
    gate = [min(value, 6) for value in columns["gate"]]
    night = [bool(value) for value in columns["night"]]
    return {"numbers": np.stack([height, colour, known, gate, night], axis=1).astype("float32")}
"""
STATE = {"colours": {"red": 1.0, "blue": -1.0}}


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(5, 1)

    def forward(self, numbers: Tensor) -> Tensor:
        return self.linear(numbers).squeeze(1)


class Neighbours(Net):
    """Its graph looks up the second row even if there is none."""

    def forward(self, numbers: Tensor) -> Tensor:
        logit = super().forward(numbers)
        return logit if len(numbers) == 1 else logit + 0 * numbers[1, 0]


class Branched(Net):
    """Its export keeps only one branch."""

    def forward(self, numbers: Tensor) -> Tensor:
        return super().forward(numbers) * (1.0 if len(numbers) > 1 else 2.0)


class Counting(Net):
    """Doubles its logits for some numbers of rows, which the exporter misses."""

    def __init__(self, doubled: Callable[[int], bool]) -> None:
        super().__init__()
        self.doubled = doubled

    def forward(self, numbers: Tensor) -> Tensor:
        logit = super().forward(numbers)
        return logit * 2 if not torch.jit.is_tracing() and self.doubled(len(numbers)) else logit


class Shifted(Net):
    """The exporter misses the addition to each logit, which is 0."""

    def __init__(self, by: float) -> None:
        super().__init__()
        self.by = by
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, numbers: Tensor) -> Tensor:
        logit = super().forward(numbers)
        return logit if torch.jit.is_tracing() else logit + self.by


class Centred(Net):
    """Subtracts the mean of the rows that it gets, so a score depends on the other rows of the request."""

    def forward(self, numbers: Tensor) -> Tensor:
        return super().forward(numbers - numbers.mean(0))


class Guarded(Net):
    """Doubles a value that no validation row has."""

    def forward(self, numbers: Tensor) -> Tensor:
        logit = super().forward(numbers)
        return logit * 2 if bool((numbers[:, 1] == 0).any()) else logit


def rehearsed(folder: Path, net: nn.Module, features: str = GOOD, **changes: Any) -> Bundle:
    """Exports the model and rehearses the bundle; `changes` apply to the bundle's inputs and the feature code's
    state."""
    state, file = changes.get("state", STATE), folder / "features.py"
    file.write_text(features)
    project = load_features(file, f"project_of_{folder.name}")
    arrays = project.transform({name: ROWS[name].to_numpy(object) for name in ROWS} | {"height": ROWS["height"]}, state)
    bundle = writing.write(
        folder / "bundle",
        model="tiny",
        target="good",
        outputs=("good",),
        inputs=changes.get("inputs", INPUTS),
        onnx=to_onnx(net, arrays, 1),
        features=file,
        state=state,
        golden=ROWS.head(32),
        run="r",
        dataset="d",
        as_of=datetime(2026, 1, 1, tzinfo=UTC),
    )
    rehearse(bundle, partial(_by_torch, net, project, state, bundle), ROWS, "include.tiny.model:train")
    return bundle


def _by_torch(net: nn.Module, project: Features, state: Mapping[str, Any], bundle: Bundle, rows: Any) -> Any:
    return predicted(net, project.transform(rows_for(project.transform, rows, bundle.manifest.inputs), state), 1)


def test_a_model_that_takes_every_row_and_any_number_of_them_passes(tmp_path: Path) -> None:
    torch.manual_seed(0)
    bundle = rehearsed(tmp_path, Net())
    assert bundle.predict(ROWS.iloc[:0]).shape == (0, 1)
    assert bundle.predict_values({name: [] for name in ROWS}).shape == (0, 1)


def test_a_graph_that_fails_for_exactly_one_row_names_the_row(tmp_path: Path) -> None:
    with pytest.warns(torch.jit.TracerWarning), pytest.raises(TrainingError) as raised:
        rehearsed(tmp_path, Neighbours())
    assert str(raised.value).startswith("check the bundle of include.tiny.model:train: score tiny: [ONNXRuntimeError]")
    row = "validation row 0 (height: -1.0, colour: 'red', code: 'AB1', gate: 1, night: false)"
    assert f"for {row}, in a batch of 1 row; expected scores. " in str(raised.value)


def test_a_graph_that_differs_for_one_row_says_by_what(tmp_path: Path) -> None:
    net = Branched()
    nn.init.zeros_(net.linear.weight)
    nn.init.constant_(net.linear.bias, 1.0)
    with pytest.warns(torch.jit.TracerWarning), pytest.raises(TrainingError) as raised:
        rehearsed(tmp_path, net)
    assert "[0.731059] for validation row 0 (height: -1.0" in str(raised.value)
    assert "in a batch of 1 row; expected [0.880797] from the trained model, within 1e-05. The ONNX export" in str(
        raised.value
    )


@pytest.mark.parametrize(
    ("doubled", "says"),
    [
        (lambda rows: rows == 1, "in a batch of 1 row;"),
        (lambda rows: rows == 2, "in a batch of 2 rows;"),
        (lambda rows: rows > 2, r"in a batch of \d\d rows;"),
    ],
    ids=["one", "two", "many"],
)
def test_a_graph_that_differs_for_some_number_of_rows_says_for_how_many(
    tmp_path: Path, doubled: Callable[[int], bool], says: str
) -> None:
    torch.manual_seed(0)
    with pytest.raises(TrainingError, match=says):
        rehearsed(tmp_path, Counting(doubled))


def test_a_bundle_that_answers_wrong_without_rows_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    predict = Bundle.predict

    def wrong(bundle: Bundle, rows: pd.DataFrame) -> Any:
        return predict(bundle, rows) if len(rows) else np.empty((0, 2))

    monkeypatch.setattr(Bundle, "predict", wrong)
    with pytest.raises(TrainingError, match=r"scores of shape \(0, 2\); expected shape \(0, 1\)"):
        rehearsed(tmp_path, Net())


def test_scores_may_differ_by_a_hundred_thousandth(tmp_path: Path) -> None:
    """The logistic function's slope there is a quarter."""
    rehearsed(tmp_path, Shifted(3.6e-5))
    with pytest.raises(TrainingError, match=r"\[0\.5\] for validation row 0 .* from the trained model, within 1e-05"):
        rehearsed(tmp_path, Shifted(4.4e-5))


def test_a_graph_that_differs_for_an_unseen_value_names_the_value(tmp_path: Path) -> None:
    with (
        pytest.warns(torch.jit.TracerWarning),
        pytest.raises(TrainingError, match=r"validation row 0 with colour empty \(.*colour: ''"),
    ):
        rehearsed(tmp_path, Guarded())


@pytest.mark.parametrize(
    ("old", "new", "says", "remedy"),
    [
        ('np.nan_to_num(columns["height"], nan=0.25)', 'columns["height"]', "height null", "fill it in transform"),
        ('state["colours"].get(value, 0.0)', 'state["colours"][value]', "colour empty", "Check.isin"),
        ("value is not None", "value.startswith('A')", "code null", "fill it in transform"),
        ("value is not None", "{'AB1': 1, 'CD2': 2, None: 0}[value]", "an unseen code", "Check.isin"),
        ("min(value, 6)", "{1: 0, 2: 1, 4: 2, 5: 3}[value]", "an unseen gate", "Check.in_range"),
        ("bool(value)", "{False: 0}[bool(value)]", "an unseen night", "Check.isin"),
    ],
    ids=["NaN", "a KeyError", "an AttributeError", "a pattern", "an integer", "a boolean"],
)
def test_feature_code_that_cannot_take_what_the_schema_allows_is_refused(
    tmp_path: Path, old: str, new: str, says: str, remedy: str
) -> None:
    assert old in GOOD
    with pytest.raises(TrainingError, match=rf"validation row 0 with {says} \(.*in a batch of 1 row.*{remedy}"):
        rehearsed(tmp_path, Net(), GOOD.replace(old, new))


@pytest.mark.parametrize(
    ("net", "features"),
    [
        (Net, GOOD.replace("nan=0.25)", "nan=0.25)\n    height = height - height.mean()")),
        (Centred, GOOD),
    ],
    ids=["transform", "forward"],
)
def test_a_score_that_depends_on_the_other_rows_is_refused(
    tmp_path: Path, net: Callable[[], nn.Module], features: str
) -> None:
    """The server may score a row alone, or together with the rows of other requests."""
    torch.manual_seed(0)
    with pytest.raises(TrainingError) as raised:
        rehearsed(tmp_path, net(), features)
    assert "for validation row 0 (height: -1.0" in str(raised.value)
    assert re.search(r"alone, and \[0\.\d+\] in a batch of \d\d rows; expected the same", str(raised.value))
    assert "Compute means, ranks and the like in fit" in str(raised.value)


def test_what_the_schema_does_not_allow_is_not_asked_for(tmp_path: Path) -> None:
    """No colour besides red and blue is sent, and no null."""
    strict = GOOD.replace('state["colours"].get(value, 0.0)', 'state["colours"][value]')
    strict = strict.replace('np.nan_to_num(columns["height"], nan=0.25)', 'columns["height"]')
    inputs = (Field(name="height", kind="number"), Field(name="colour", kind="string", checks=(COLOURS,)), *INPUTS[2:])
    bundle = rehearsed(tmp_path, Net(), strict, inputs=inputs)
    varied = {case.says.removeprefix("validation row 0 with "): case.record for case in cases(bundle, ROWS)}
    assert varied["an unseen code"]["code"] == "BC2"
    assert not {"colour empty", "an unseen colour", "height null"} & set(varied)


@pytest.mark.parametrize(
    ("allowed", "unseen"),
    [(None, 6), ((0, 5), 0), ((1, 5), 3), ((1, 2), None)],
    ids=["above", "below", "a gap", "nothing is left"],
)
def test_an_unseen_integer_is_one_that_the_schema_allows(
    tmp_path: Path, allowed: tuple[int, int] | None, unseen: int | None
) -> None:
    arguments = {"min_value": allowed[0], "max_value": allowed[1]} if allowed else {}
    checks = (Check(name="in_range", arguments=arguments, says="in range"),) if allowed else ()
    inputs = (*INPUTS[:3], Field(name="gate", kind="integer", checks=checks), INPUTS[4])
    manifest = rehearsed(tmp_path, Net()).manifest
    bundle = Bundle(tmp_path, replace(manifest, inputs=inputs))
    found = [case.record["gate"] for case in cases(bundle, ROWS) if case.says == "validation row 0 with an unseen gate"]
    assert found == ([] if unseen is None else [unseen])


def test_a_state_that_changes_on_its_way_through_json_is_a_difference(tmp_path: Path) -> None:
    keys = GOOD.replace('state["colours"].get(value, 0.0)', 'state["colours"].get(len(value), 0.0)')
    with pytest.raises(TrainingError, match=r"from the trained model, within 1e-05"):
        rehearsed(tmp_path, Net(), keys, state={"colours": {3: 1.0, 4: -1.0}})


@pytest.mark.slow
def test_a_row_of_many_long_fields_is_cut(tmp_path: Path) -> None:
    many = tuple(Field(name=f"f{number}", kind="string") for number in range(200))
    rows = ROWS.assign(**{field.name: pd.Series(["x" * 500] * len(ROWS), dtype="str") for field in many})
    bundle = Bundle(tmp_path, rehearsed(tmp_path, Net()).manifest.__class__(**_with(tmp_path, many)))
    (first, *_) = cases(bundle, rows)
    assert len(str(first)) < 1000
    assert str(first).endswith("and 193 more)")


def _with(folder: Path, more: tuple[Field, ...]) -> dict[str, Any]:
    manifest = Bundle.open(folder / "bundle").manifest
    return {**vars(manifest), "inputs": (*manifest.inputs, *more)}
