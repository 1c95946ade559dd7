"""The models that learn which flights arrive late."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn

DEFAULTS = {
    "epochs": 4,
    "batch_size": 2048,
    "learning_rate": 0.005,  # the highest of a warm-up and a cosine decay
    "hidden": 64,
    "dropout": 0.3,
    "embedding": 4,
    "weight_decay": 0.01,
}


class LateFlights(nn.Module):
    """Embeddings of the categories beside the numbers, then two hidden layers; one logit a row."""

    def __init__(self, numbers: int, sizes: list[int], *, hidden: int, embedding: int, dropout: float) -> None:
        super().__init__()
        self.register_buffer("starts", torch.tensor(_starts(sizes)))
        self.embedding = _embedding(sizes, embedding)
        self.layers = nn.Sequential(
            *(nn.Linear(numbers + embedding * len(sizes), hidden), nn.ReLU(), nn.Dropout(dropout)),
            *(nn.Linear(hidden, hidden), nn.ReLU(), nn.Dropout(dropout)),
            nn.Linear(hidden, 1),
        )

    def forward(self, numbers: Tensor, categories: Tensor) -> Tensor:
        """float32 [n, k] and int64 [n, c] to logits [n]."""
        embedded = self.embedding(categories + self.starts).flatten(1)
        return self.layers(torch.cat([numbers, embedded], dim=1)).squeeze(1)


class Linear(nn.Module):
    """A weight a number and a weight a category's value; one logit a row."""

    def __init__(self, numbers: Tensor, values: Tensor, sizes: list[int], intercept: float) -> None:
        super().__init__()
        self.numbers = nn.Parameter(numbers)
        self.values = nn.Parameter(values)
        self.intercept = nn.Parameter(torch.tensor(intercept))
        self.register_buffer("starts", torch.tensor(_starts(sizes)))

    def forward(self, numbers: Tensor, categories: Tensor) -> Tensor:
        """float32 [n, k] and int64 [n, c] to logits [n]."""
        return numbers @ self.numbers + self.values[categories + self.starts].sum(dim=1) + self.intercept


def train(config: dict[str, Any], data: Any, run: Any) -> nn.Module:
    """A LateFlights. `config`: any of DEFAULTS. Logs `loss` and `validation_auc` of each epoch."""
    settings = _settings(config)
    shape = {name: settings[name] for name in ("hidden", "embedding", "dropout")}
    batches = run.batches(data.train, settings["batch_size"])
    model = LateFlights(len(data.state["means"]), _sizes(data), **shape).to(run.device)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=settings["learning_rate"], weight_decay=settings["weight_decay"], fused=True
    )
    steps = settings["epochs"] * len(batches)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, settings["learning_rate"], total_steps=steps)
    kept = {"model": model, "optimizer": optimizer, "schedule": schedule}
    for name, state in (run.resume() or {}).items():
        kept[name].load_state_dict(state)
    trained = run.parallel(model)
    for _ in run.epochs(settings["epochs"]):
        loss = _epoch(trained, optimizer, schedule, batches, run)
        run.log({"loss": loss, "validation_auc": _auc(model, data.validation, run)})
        run.checkpoint({name: part.state_dict() for name, part in kept.items()})
    return model


def baseline(config: dict[str, Any], data: Any, run: Any) -> nn.Module:  # noqa: ARG001
    """scikit-learn's logistic regression on the same arrays, categories one-hot. It has no settings."""
    sizes = _sizes(data)
    numbers, categories = data.train.features["numbers"], data.train.features["categories"]
    rows, columns = categories.shape
    places = (categories + np.asarray(_starts(sizes))).ravel()
    one_hot = scipy.sparse.csr_matrix(
        (np.ones(rows * columns, "float32"), places, np.arange(0, rows * columns + 1, columns)),
        shape=(rows, sum(sizes)),
    )
    inputs = scipy.sparse.hstack([scipy.sparse.csr_matrix(numbers), one_hot], format="csr")
    fitted = LogisticRegression(max_iter=500, tol=1e-3).fit(inputs, data.train.target)
    weights = torch.tensor(fitted.coef_[0], dtype=torch.float32)
    count = numbers.shape[1]
    return Linear(weights[:count], weights[count:], sizes, float(fitted.intercept_[0])).to(run.device)


def _embedding(sizes: list[int], width: int) -> nn.Embedding:
    """One table for all categories: to look up in eight takes twice as long. It starts near zero, so that a rare value
    says little; what training did not see, the first of each category, stays zero."""
    embedding = nn.Embedding(sum(sizes), width)
    with torch.no_grad():
        embedding.weight.mul_(0.1)
        embedding.weight[_starts(sizes)] = 0.0
    return embedding


def _epoch(model: nn.Module, optimizer: Any, schedule: Any, batches: Any, run: Any) -> float:
    model.train()
    losses = []
    for batch in batches:
        with run.autocast():
            loss = nn.functional.binary_cross_entropy_with_logits(model(**batch.features), batch.target)
        run.step(loss, optimizer)
        schedule.step()
        losses.append(loss.detach())
    return float(torch.stack(losses).mean())


def _auc(model: nn.Module, split: Any, run: Any) -> float:
    model.eval()
    with torch.no_grad():
        logits = model(**run.tensors(split).features)
    return float(roc_auc_score(split.target, logits.cpu().numpy()))


def _sizes(data: Any) -> list[int]:
    """How many values each category has, with 0 for the unseen."""
    return [len(vocabulary) + 1 for vocabulary in data.state["vocabularies"].values()]


def _starts(sizes: list[int]) -> list[int]:
    return [sum(sizes[:place]) for place in range(len(sizes))]


def _settings(config: dict[str, Any]) -> dict[str, Any]:
    unknown = sorted(set(config) - set(DEFAULTS))
    if unknown:
        raise ValueError(f"Unknown settings {unknown}; expected some of {sorted(DEFAULTS)}.")
    return {**DEFAULTS, **config}
