"""Train functions that succeed, and train functions that fail in each possible way."""

from __future__ import annotations

import os
import signal
import threading
import time
from itertools import count
from typing import Any

import torch
from torch import Tensor, nn


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(1, 1)

    def forward(self, numbers: Tensor) -> Tensor:
        return self.linear(numbers).squeeze(1)


def train(config: dict[str, Any], data: Any, run: Any) -> nn.Module:
    net = Net()
    optimizer = torch.optim.SGD(net.parameters(), lr=config.get("learning_rate", 0.5))
    numbers, target = torch.from_numpy(data.train.features["numbers"]), torch.from_numpy(data.train.target)
    state = run.resume()
    if state:
        net.load_state_dict(state)
    for _ in run.epochs(config.get("epochs", 3)):
        optimizer.zero_grad()
        loss = nn.functional.binary_cross_entropy_with_logits(net(numbers), target)
        loss.backward()
        optimizer.step()
        run.log({"train_loss": loss.item()})
        run.checkpoint(net.state_dict())
    return net


def learns(config: dict[str, Any], data: Any, run: Any) -> nn.Module:
    """Each epoch is better by 0.01, from the given rate on."""
    rate = config["learning_rate"]
    for epoch in run.epochs(20):
        run.log({"validation_auc": rate + epoch / 100}, step=epoch)
    return Net()


def baseline(config: dict[str, Any], data: Any, run: Any) -> nn.Module:
    return train({**config, "epochs": 1}, data, run)


def raises(config: dict[str, Any], data: Any, run: Any) -> nn.Module:
    return _divide(config.get("by", 0))


def _divide(by: int) -> Any:
    return 1 / by


def gives_nan(config: dict[str, Any], data: Any, run: Any) -> nn.Module:
    """Gives NaN although its weights are finite."""
    return Overflows()


def gives_no_model(config: dict[str, Any], data: Any, run: Any) -> dict[str, float]:
    return {"weight": 1.0}


def fails_for_small_rates(config: dict[str, Any], data: Any, run: Any) -> nn.Module:
    if config["learning_rate"] < 0.5:
        raise ValueError("too small")
    return train(config, data, run)


def hangs(config: dict[str, Any], data: Any, run: Any) -> nn.Module:
    run.log({"train_loss": 0.75})
    print("hanging", flush=True)
    time.sleep(600)
    return Net()


def waits_for_the_end(config: dict[str, Any], data: Any, run: Any) -> nn.Module:
    print("waiting for the end", flush=True)
    while not run.should_stop():
        time.sleep(0.05)
    return Net()


def logs_until_the_end(config: dict[str, Any], data: Any, run: Any) -> nn.Module:
    for step in count():
        if run.should_stop():
            break
        run.log({"validation_auc": 0.5}, step=step)
        time.sleep(0.1)
    return Net()


def is_stopped(config: dict[str, Any], data: Any, run: Any) -> nn.Module:
    raise SystemExit(143)


def is_stopped_after_its_last_epoch(config: dict[str, Any], data: Any, run: Any) -> nn.Module:
    kept = run.resume()
    for epoch in run.epochs(2):
        run.log({"learned": float(epoch)})
        run.checkpoint(Net().state_dict())
    if kept is None:
        raise SystemExit(143)
    return Net()


def is_killed_half_way(config: dict[str, Any], data: Any, run: Any) -> nn.Module:
    """Is killed after the checkpoint of the third of six epochs and the log entry of the fourth."""
    kept, done = run.resume(), []
    for epoch in run.epochs(6):
        run.log({"learned": float(epoch)}, step=epoch)
        if kept is None and epoch == 3:
            # The worker's process, and the process that would restart it.
            os.killpg(0, signal.SIGKILL)
        run.checkpoint(Net().state_dict())
        done.append(epoch)
    print(f"epochs {done[0]}..{done[-1]}", flush=True)
    return Net()


def is_killed(config: dict[str, Any], data: Any, run: Any) -> nn.Module:
    """Is killed, as the kernel kills when memory is short. The next try resumes."""
    if run.resume() is None:
        run.log({"train_loss": 0.75})
        run.checkpoint(Net().state_dict())
        os.kill(os.getpid(), signal.SIGKILL)
    return train({**config, "epochs": 2}, data, run)


def kills_its_process_for_small_rates(config: dict[str, Any], data: Any, run: Any) -> nn.Module:
    """Is killed at each try, as the kernel kills when memory is short."""
    if config["learning_rate"] < 0.05:
        os.kill(os.getpid(), signal.SIGKILL)
    return train({**config, "epochs": 1}, data, run)


def hangs_for_small_rates(config: dict[str, Any], data: Any, run: Any) -> nn.Module:
    """Hangs in code that ignores signals and checks nothing."""
    if config["learning_rate"] < 0.05:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
        threading.Event().wait()
    return train({**config, "epochs": 1}, data, run)


def learns_until_told(config: dict[str, Any], data: Any, run: Any) -> nn.Module:
    for epoch in run.epochs(10**9):
        run.log({"learned": float(epoch)})
        time.sleep(0.02)
    return Net()


class Wide(nn.Module):
    """A network with dropout, so random numbers matter."""

    def __init__(self, dropout: float = 0.2) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(1, 16), nn.ReLU(), nn.Dropout(dropout), nn.Linear(16, 1))

    def forward(self, numbers: Tensor) -> Tensor:
        return self.layers(numbers).squeeze(1)


def learns_by_batches(config: dict[str, Any], data: Any, run: Any) -> nn.Module:
    """`pause` adds seconds to each epoch, so that a test can kill it. `die_in` is the epoch in which one of several
    processes is killed at the first try."""
    model = Wide(config.get("dropout", 0.2)).to(run.device)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    batches = run.batches(data.train, 64)
    kept = {"model": model, "optimizer": optimizer}
    resumed = run.resume()
    for name, state in (resumed or {}).items():
        kept[name].load_state_dict(state)
    trained = run.parallel(model)
    for epoch in run.epochs(config.get("epochs", 6), monitor="train_loss", goal="minimize"):
        loss = _pass(trained, optimizer, batches, run)
        run.log({"train_loss": loss})
        time.sleep(config.get("pause", 0.0))
        if epoch == config.get("die_in") and resumed is None and os.environ.get("RANK") == "1":
            os.kill(os.getpid(), signal.SIGKILL)
        run.checkpoint({name: part.state_dict() for name, part in kept.items()})
    model.load_state_dict(run.best()["model"])
    return model


def _pass(model: nn.Module, optimizer: Any, batches: Any, run: Any) -> float:
    model.train()
    losses = []
    for batch in batches:
        with run.autocast():
            loss = nn.functional.binary_cross_entropy_with_logits(model(**batch.features), batch.target)
        run.step(loss, optimizer)
        losses.append(loss.item())
    return sum(losses) / len(losses)


def raises_in_the_second_process(config: dict[str, Any], data: Any, run: Any) -> nn.Module:
    model = run.parallel(Wide())
    if os.environ["RANK"] == "1":
        raise ValueError("the second one")
    # Waits for the second process.
    run.log({"train_loss": 1.0})
    return model


def has_a_weight_that_is_no_number(config: dict[str, Any], data: Any, run: Any) -> nn.Module:
    net = Net()
    nn.init.constant_(net.linear.weight, float("nan"))
    return net


class Neighbours(Net):
    """Its graph fails for exactly one row, because it looks up the second row."""

    def forward(self, numbers: Tensor) -> Tensor:
        logit = super().forward(numbers)
        return logit if len(numbers) == 1 else logit + 0 * numbers[1, 0]


def fails_for_one_row(config: dict[str, Any], data: Any, run: Any) -> nn.Module:
    run.log({"validation_auc": 0.5})
    return Neighbours()


def fails_for_one_row_with_small_rates(config: dict[str, Any], data: Any, run: Any) -> nn.Module:
    return Neighbours() if config["learning_rate"] < 0.5 else train(config, data, run)


class Overflows(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(3e38))

    def forward(self, numbers: Tensor) -> Tensor:
        large = numbers[:, 0] * self.weight * 10
        return large - large


def keeps_more_than_at_first(config: dict[str, Any], data: Any, run: Any) -> nn.Module:
    """Its first checkpoint is small; the others have 2 MB."""
    net, state = Net(), run.resume()
    for epoch in run.epochs(3):
        run.log({"resumed": float(state is not None)})
        run.checkpoint({"ballast": torch.zeros(500_000 if epoch else 1)})
    return net
