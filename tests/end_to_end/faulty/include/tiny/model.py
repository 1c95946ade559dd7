"""A linear model, and the faults of its train function."""

from __future__ import annotations

import time
from typing import Any

import torch
from include.tiny import faults
from torch import Tensor, nn


class Line(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(2, 1)

    def forward(self, numbers: Tensor) -> Tensor:
        return self.linear(numbers).squeeze(1)


def train(config: dict[str, Any], data: Any, run: Any) -> Any:
    line = Line()
    line.load_state_dict(run.resume() or line.state_dict())
    for epoch in run.epochs(4):
        _step(line, data.train, config.get("learning_rate", 1.0))
        time.sleep(config.get("seconds", 0.0))
        run.log({"epoch": epoch})
        run.checkpoint(line.state_dict())
        if epoch == 1:
            _wait(config)
    return _spoiled(line, faults.of(config["as_of"]))


def baseline(config: dict[str, Any], data: Any, run: Any) -> nn.Module:
    line = Line()
    _step(line, data.train, rate=0.1)
    return line


def _step(line: Line, rows: Any, rate: float) -> None:
    optimizer = torch.optim.SGD(line.parameters(), lr=rate)
    logits = line(torch.from_numpy(rows.features["numbers"]))
    nn.functional.binary_cross_entropy_with_logits(logits, torch.from_numpy(rows.target)).backward()
    optimizer.step()


def _wait(config: dict[str, Any]) -> None:
    """Waits until the fault is removed. Meanwhile a test acts on the process."""
    fault = "waits in the sweep" if "learning_rate" in config else "waits"
    while faults.of(config["as_of"]) == fault:
        print("waiting", flush=True)
        time.sleep(0.1)


def _spoiled(line: Line, fault: str) -> Any:
    with torch.no_grad():
        if fault == "raises":
            return _look_up("colour")
        if fault == "gives NaN":
            line.linear.weight.fill_(float("nan"))
        if fault == "sees half":
            line.linear.weight[0, 0] = 0.0
        if fault == "takes height the wrong way":
            line.linear.weight[0, 0].neg_()
    return line.state_dict() if fault == "gives no model" else line


def _look_up(name: str) -> Any:
    return {"height": 1, "width": 2}[name]
