from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sailplane.errors import ModelError
from sailplane.evaluation.metrics import metrics
from sailplane.evaluation.validation import scores, validate
from sailplane.training.export import to_onnx

FEATURES = {"numbers": np.random.default_rng(0).normal(size=(50, 5)).astype("float32")}
TARGET = (np.arange(50) % 2).astype("float32")


class Linear(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(5, 1)

    def forward(self, numbers: Tensor) -> Tensor:
        return self.linear(numbers)


class FixedRows(nn.Module):
    """A model whose export works only for two rows, the number of the exporter's examples."""

    def forward(self, numbers: Tensor) -> Tensor:
        return numbers.sum(dim=1) + torch.zeros(2)


def test_a_graph_is_measured_by_its_scores() -> None:
    graph = to_onnx(Linear(), FEATURES, 1)
    assert validate(graph, FEATURES, TARGET) == metrics(TARGET, scores(graph, FEATURES))


def test_scores_that_are_not_numbers_are_refused() -> None:
    net = Linear()
    nn.init.constant_(net.linear.bias, float("nan"))
    with pytest.raises(ModelError, match="50 of 50 rows are NaN; expected probabilities"):
        validate(to_onnx(net, FEATURES, 1), FEATURES, TARGET)


def test_a_graph_that_fails_on_other_numbers_of_rows_is_refused_by_the_name_of_its_train_function() -> None:
    with pytest.raises(ModelError, match=r"include\.model:train: .*The ONNX export is limited to one number of rows"):
        validate(to_onnx(FixedRows(), FEATURES, 1), FEATURES, TARGET, "include.model:train")
