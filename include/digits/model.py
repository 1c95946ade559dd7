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
    image = torch.tensor(data.train.features["image"], device=run.device)
    target = torch.tensor(data.train.target, device=run.device)
    torch.manual_seed(run.seed)
    shape = {"channels": settings["channels"], "dropout": settings["dropout"]}
    model = DigitNet(**shape, classes=len(data.outputs)).to(run.device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=settings["learning_rate"])
    kept = {"model": model, "optimizer": optimizer}
    for name, state in (run.resume() or {}).items():
        kept[name].load_state_dict(state)
    for epoch in run.epochs(settings["epochs"]):
        # A seed an epoch: a run that is resumed goes on as it would have gone on.
        torch.manual_seed(run.seed * 1000 + epoch)
        order = torch.randperm(len(target), device=run.device).split(settings["batch_size"])
        loss = _epoch(model, optimizer, ((image[rows], target[rows]) for rows in order))
        accuracy = _accuracy(model, data.validation, run.device)
        run.log({"loss": loss, "validation_accuracy": accuracy}, step=epoch)
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


def _epoch(model: nn.Module, optimizer: Any, batches: Any) -> float:
    model.train()
    losses = []
    for image, target in batches:
        loss = nn.functional.cross_entropy(model(image), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    return float(torch.stack(losses).mean())


def _accuracy(model: nn.Module, split: Any, device: torch.device) -> float:
    model.eval()
    with torch.no_grad():
        logits = model(torch.tensor(split.features["image"], device=device))
    return float((logits.argmax(dim=1).cpu() == torch.tensor(split.target)).float().mean())


def _settings(config: dict[str, Any]) -> dict[str, Any]:
    unknown = sorted(set(config) - set(DEFAULTS))
    if unknown:
        raise ValueError(f"Unknown settings {unknown}; expected some of {sorted(DEFAULTS)}.")
    return {**DEFAULTS, **config}
