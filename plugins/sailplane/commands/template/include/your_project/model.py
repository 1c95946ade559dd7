"""The model, and the baseline that it has to beat."""

from __future__ import annotations

from typing import Any

import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn

DEFAULTS = {"epochs": 8, "batch_size": 256, "learning_rate": 0.01, "hidden": 16}


class Net(nn.Module):
    """One hidden layer, or none with `hidden=0`; one logit a row."""

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        layers = [nn.Linear(inputs, hidden), nn.ReLU()] if hidden else []
        self.layers = nn.Sequential(*layers, nn.Linear(hidden or inputs, 1))

    def forward(self, inputs: Tensor) -> Tensor:
        """float32 [n, k], the array of `transform`, to logits [n]."""
        return self.layers(inputs).squeeze(1)


def train(config: dict[str, Any], data: Any, run: Any) -> nn.Module:
    """`config`: any of DEFAULTS. Logs `loss` and `validation_auc` of each epoch."""
    settings = {**DEFAULTS, **config}
    model = Net(data.train.features["inputs"].shape[1], settings["hidden"]).to(run.device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=settings["learning_rate"])
    kept = {"model": model, "optimizer": optimizer}
    for name, state in (run.resume() or {}).items():  # None at the first try
        kept[name].load_state_dict(state)
    batches = run.batches(data.train, settings["batch_size"])
    for _ in run.epochs(settings["epochs"], monitor="validation_auc"):
        for batch in batches:
            loss = nn.functional.binary_cross_entropy_with_logits(model(**batch.features), batch.target)
            run.step(loss, optimizer)
        run.log({"loss": loss.item(), "validation_auc": _auc(model, data.validation, run)})
        run.checkpoint({name: part.state_dict() for name, part in kept.items()})
    model.load_state_dict(run.best()["model"])  # the epoch with the best validation_auc
    return model


def baseline(config: dict[str, Any], data: Any, run: Any) -> nn.Module:  # noqa: ARG001
    """scikit-learn's logistic regression on the same array."""
    inputs = data.train.features["inputs"]
    fitted = LogisticRegression().fit(inputs, data.train.target)
    model = Net(inputs.shape[1], hidden=0)
    weights = {"layers.0.weight": fitted.coef_, "layers.0.bias": fitted.intercept_}
    model.load_state_dict({name: torch.tensor(value, dtype=torch.float32) for name, value in weights.items()})
    return model.to(run.device)


def _auc(model: nn.Module, rows: Any, run: Any) -> float:
    with torch.no_grad():
        logits = model(**run.tensors(rows).features)
    return float(roc_auc_score(rows.target, logits.cpu().numpy()))
