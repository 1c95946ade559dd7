"""Epochs of the first project's model with several loops over the same rows, in turn, on one thread.

`python epochs.py DATA.npz ROUNDS` prints {loop: {"seconds": the median of an epoch; "auc": the mean on the validation
rows; "rows": the rows that the optimizer got, for each round; each round has its own seed}}.

A DataLoader takes single rows, as most users write it, or with `bulk` whole batches, as its documentation says for
datasets that support it: https://docs.pytorch.org/docs/stable/data.html#disable-automatic-batching. It has no workers,
because all loops have one thread. Lightning's `barebones` leaves out everything that costs time besides the training:
https://lightning.ai/docs/pytorch/stable/core-api/trainer"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import lightning
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn
from torch.utils.data import BatchSampler, DataLoader, RandomSampler, TensorDataset

from include.flights import model as flights
from sailplane.storage import Storage
from sailplane.training.arrays import Arrays, unpack
from sailplane.training.checkpoint_store import StoreShelf
from sailplane.training.run import RunHandle

EPOCHS, BATCH = flights.DEFAULTS["epochs"], flights.DEFAULTS["batch_size"]
loss_of = nn.functional.binary_cross_entropy_with_logits


class Untracked:
    def log(self, metrics: Any, step: int) -> None:
        """Drops the log."""


def counted() -> list[int]:
    """Counts the rows of each batch that a model of this project is trained on from now on."""
    rows: list[int] = []
    inner = flights.LateFlights.forward

    def forward(self: nn.Module, numbers: Tensor, categories: Tensor) -> Tensor:
        if self.training:
            rows.append(len(numbers))
        return inner(self, numbers, categories)

    flights.LateFlights.forward = forward
    return rows


def tensors(split: Any) -> list[Tensor]:
    return [
        torch.tensor(split.features["numbers"]),
        torch.tensor(split.features["categories"]),
        torch.tensor(split.target),
    ]


def made(data: Arrays, steps: int, seed: int) -> tuple[nn.Module, torch.optim.Optimizer, Any]:
    torch.manual_seed(seed)
    settings = flights.DEFAULTS
    shape = {name: settings[name] for name in ("hidden", "embedding", "dropout")}
    model = flights.LateFlights(len(data.state["means"]), flights._sizes(data), **shape)
    rate = settings["learning_rate"]
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=settings["weight_decay"], fused=True)
    return model, optimizer, torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps)


def ours(data: Arrays, seed: int) -> tuple[nn.Module, list[float]]:
    """Runs the unchanged train function, with its log, its validation score and its checkpoints."""
    with tempfile.TemporaryDirectory() as folder:
        shelf = StoreShelf(Storage(Path(folder, "store").as_uri()), "runs/r")
        run = RunHandle(Path(folder, "scratch"), seed=seed, tracked=Untracked(), shelf=shelf, verbose=False)
        seconds: list[float] = []
        inner = flights._epoch

        def timed(*arguments: Any) -> float:
            began = time.perf_counter()
            loss = inner(*arguments)
            seconds.append(time.perf_counter() - began)
            return loss

        flights._epoch = timed
        try:
            return flights.train({}, data, run), seconds
        finally:
            flights._epoch = inner


def by_hand(data: Arrays, seed: int, passes: Callable[[], Iterator[Any]]) -> tuple[nn.Module, list[float]]:
    steps = EPOCHS * -(-len(data.train) // BATCH)
    model, optimizer, schedule = made(data, steps, seed)
    seconds = []
    for _ in range(EPOCHS):
        began = time.perf_counter()
        model.train()
        losses = []
        for numbers, categories, target in passes():
            loss = loss_of(model(numbers, categories), target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(loss.detach())
        torch.stack(losses).mean().item()
        seconds.append(time.perf_counter() - began)
    return model, seconds


def bare(data: Arrays, seed: int) -> tuple[nn.Module, list[float]]:
    whole = tensors(data.train)

    def passes() -> Iterator[Any]:
        order = torch.randperm(len(whole[0]))
        return zip(*(tensor[order].split(BATCH) for tensor in whole), strict=True)

    return by_hand(data, seed, passes)


def by_row(data: Arrays) -> DataLoader[Any]:
    return DataLoader(TensorDataset(*tensors(data.train)), batch_size=BATCH, shuffle=True)


def in_bulk(data: Arrays) -> DataLoader[Any]:
    rows = TensorDataset(*tensors(data.train))
    return DataLoader(rows, batch_size=None, sampler=BatchSampler(RandomSampler(rows), BATCH, drop_last=False))


def loader(data: Arrays, seed: int) -> tuple[nn.Module, list[float]]:
    batches = by_row(data)
    return by_hand(data, seed, lambda: iter(batches))


def bulk(data: Arrays, seed: int) -> tuple[nn.Module, list[float]]:
    batches = in_bulk(data)
    return by_hand(data, seed, lambda: iter(batches))


class Lit(lightning.LightningModule):
    def __init__(self, model: nn.Module, optimizer: Any, schedule: Any) -> None:
        super().__init__()
        self.model, self.how, self.seconds = model, (optimizer, schedule), []

    def training_step(self, batch: Any, _index: int) -> Tensor:
        numbers, categories, target = batch
        return loss_of(self.model(numbers, categories), target)

    def configure_optimizers(self) -> Any:
        optimizer, schedule = self.how
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_train_epoch_start(self) -> None:
        self.began = time.perf_counter()

    def on_train_epoch_end(self) -> None:
        self.seconds.append(time.perf_counter() - self.began)


def lit(data: Arrays, seed: int) -> tuple[nn.Module, list[float]]:
    return by_lightning(data, seed, by_row(data))


def lit_bulk(data: Arrays, seed: int) -> tuple[nn.Module, list[float]]:
    return by_lightning(data, seed, in_bulk(data))


def by_lightning(data: Arrays, seed: int, batches: DataLoader[Any]) -> tuple[nn.Module, list[float]]:
    module = Lit(*made(data, EPOCHS * len(batches), seed))
    lightning.Trainer(max_epochs=EPOCHS, accelerator="cpu", barebones=True).fit(module, batches)
    return module.model, module.seconds


def auc(model: nn.Module, data: Arrays) -> float:
    numbers, categories, target = tensors(data.validation)
    model.eval()
    with torch.no_grad():
        return float(roc_auc_score(target, model(numbers, categories)))


def main(file: str, rounds: int) -> None:
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    data, found, rows = unpack(Path(file)), {}, counted()
    for seed in range(rounds):
        for loop in (ours, bare, bulk, loader, lit_bulk, lit):
            rows.clear()
            model, seconds = loop(data, seed)
            kept = found.setdefault(loop.__name__, {"seconds": [], "auc": [], "rows": []})
            kept["seconds"] += seconds[1:]
            kept["auc"].append(auc(model, data))
            kept["rows"].append(sum(rows))
    told = {
        name: {
            "seconds": statistics.median(kept["seconds"]),
            "auc": statistics.mean(kept["auc"]),
            "rows": kept["rows"],
        }
        for name, kept in found.items()
    }
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
