from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from sailplane.errors import TrainingError
from sailplane.evaluation.validation import scores
from sailplane.training.export import to_onnx

FEATURES = {
    "numbers": np.random.default_rng(0).normal(size=(50, 5)).astype("float32"),
    "categories": np.random.default_rng(1).integers(0, 4, size=(50, 2)),
}


class Net(nn.Module):
    def __init__(self, outputs: int = 1, *, column: bool = False) -> None:
        super().__init__()
        self.embed, self.linear, self.drop = nn.Embedding(4, 3), nn.Linear(11, outputs), nn.Dropout(0.5)
        self.squeeze = outputs == 1 and not column

    def forward(self, numbers: Tensor, categories: Tensor) -> Tensor:
        logits = self.linear(self.drop(torch.cat([numbers, self.embed(categories).flatten(1)], dim=1)))
        return logits.squeeze(1) if self.squeeze else logits


def by_torch(net: nn.Module) -> Tensor:
    with torch.no_grad():
        return net.eval()(**{name: torch.from_numpy(array) for name, array in FEATURES.items()})


@pytest.mark.parametrize("column", [False, True])
def test_one_output_is_the_sigmoid_of_the_logit(column: bool) -> None:
    net = Net(column=column)
    got = scores(to_onnx(net, FEATURES, 1), FEATURES)
    assert got.shape == (50, 1)
    np.testing.assert_allclose(got, torch.sigmoid(by_torch(net)).reshape(-1, 1), atol=1e-6)


def test_several_outputs_are_the_softmax_of_the_logits() -> None:
    net = Net(3)
    got = scores(to_onnx(net, FEATURES, 3), FEATURES)
    np.testing.assert_allclose(got, torch.softmax(by_torch(net), dim=1), atol=1e-6)


def test_inputs_have_the_names_of_the_arrays_and_take_any_number_of_rows() -> None:
    graph = to_onnx(Net(), FEATURES, 1)
    session = onnxruntime.InferenceSession(graph)
    assert {node.name: node.shape for node in session.get_inputs()} == {
        "numbers": ["rows", 5],
        "categories": ["rows", 2],
    }
    assert [node.name for node in session.get_outputs()] == ["probability"]
    one = {name: array[:1] for name, array in FEATURES.items()}
    np.testing.assert_allclose(scores(graph, one), scores(graph, FEATURES)[:1], atol=1e-6)


def test_an_array_that_the_model_does_not_use_is_no_input() -> None:
    class Numbers(nn.Module):
        def forward(self, numbers: Tensor, categories: Tensor) -> Tensor:  # noqa: ARG002
            return numbers.sum(dim=1)

    assert scores(to_onnx(Numbers(), FEATURES, 1), FEATURES).shape == (50, 1)


def test_logits_of_another_shape_are_refused() -> None:
    with pytest.raises(
        TrainingError, match=r"include\.model:train: logits of shape \(2, 3\) for 2 rows; expected \(2, 4\)"
    ):
        to_onnx(Net(3), FEATURES, 4, "include.model:train")


def test_a_forward_that_does_not_take_the_arrays_is_refused() -> None:
    with pytest.raises(TrainingError, match=r"include\.model:train: .*expected forward\(numbers, categories\)"):
        to_onnx(nn.Linear(5, 1), FEATURES, 1, "include.model:train")
