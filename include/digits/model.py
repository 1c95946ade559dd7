"""The models that learn to read a digit."""

from __future__ import annotations

from typing import Any

import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

DEFAULTS = {"epochs": 20, "batch_size": 32, "learning_rate": 0.003, "channels": 16, "dropout": 0.2}


class DigitNet(nn.Module):
    """Two convolutions with a pooling each, then one linear layer; a logit a class."""

    def __init__(self, *, channels: int, dropout: float, classes: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *(nn.Conv2d(1, channels, kernel_size=3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(channels, 2 * channels, kernel_size=3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Flatten(), nn.Dropout(dropout), nn.Linear(8 * channels, classes)),
        )

    def forward(self, image: Tensor) -> Tensor:
        """float32 [n, 1, 8, 8] to logits [n, classes]."""
        return self.layers(image)


class Linear(nn.Module):
    """A weight a pixel and class; a logit a class."""

    def __init__(self, weights: Tensor, intercepts: Tensor) -> None:
        super().__init__()
        self.weights = nn.Parameter(weights)
        self.intercepts = nn.Parameter(intercepts)

    def forward(self, image: Tensor) -> Tensor:
        """float32 [n, 1, 8, 8] to logits [n, classes]."""
        return image.flatten(1) @ self.weights.T + self.intercepts


def train(config: dict[str, Any], data: Any, run: Any) -> nn.Module:
    """A DigitNet. `config`: any of DEFAULTS. Logs `loss` and `validation_accuracy` of each epoch."""
    settings = _settings(config)
    batches = run.batches(data.train, settings["batch_size"])
    shape = {"channels": settings["channels"], "dropout": settings["dropout"]}
    model = DigitNet(**shape, classes=len(data.outputs)).to(run.device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=settings["learning_rate"])
    kept = {"model": model, "optimizer": optimizer}
    for name, state in (run.resume() or {}).items():
        kept[name].load_state_dict(state)
    trained = run.parallel(model)
    for _ in run.epochs(settings["epochs"]):
        loss = _epoch(trained, optimizer, batches, run)
        run.log({"loss": loss, "validation_accuracy": _accuracy(model, data.validation, run)})
        run.checkpoint({name: part.state_dict() for name, part in kept.items()})
    return model


def baseline(config: dict[str, Any], data: Any, run: Any) -> nn.Module:  # noqa: ARG001
    """scikit-learn's logistic regression on the pixels. It has no settings."""
    image = data.train.features["image"]
    fitted = LogisticRegression(max_iter=500, C=0.1).fit(image.reshape(len(image), -1), data.train.target)
    # A class that the training rows lack is never the answer.
    weights = torch.zeros(len(data.outputs), fitted.coef_.shape[1])
    intercepts = torch.full((len(data.outputs),), -20.0)
    weights[fitted.classes_] = torch.tensor(fitted.coef_, dtype=torch.float32)
    intercepts[fitted.classes_] = torch.tensor(fitted.intercept_, dtype=torch.float32)
    return Linear(weights, intercepts).to(run.device)


def _epoch(model: nn.Module, optimizer: Any, batches: Any, run: Any) -> float:
    model.train()
    losses = []
    for batch in batches:
        with run.autocast():
            loss = nn.functional.cross_entropy(model(**batch.features), batch.target)
        run.step(loss, optimizer)
        losses.append(loss.detach())
    return float(torch.stack(losses).mean())


def _accuracy(model: nn.Module, split: Any, run: Any) -> float:
    model.eval()
    rows = run.tensors(split)
    with torch.no_grad():
        right = model(**rows.features).argmax(dim=1) == rows.target
    return float(right.float().mean())


def _settings(config: dict[str, Any]) -> dict[str, Any]:
    unknown = sorted(set(config) - set(DEFAULTS))
    if unknown:
        raise ValueError(f"Unknown settings {unknown}; expected some of {sorted(DEFAULTS)}.")
    return {**DEFAULTS, **config}
