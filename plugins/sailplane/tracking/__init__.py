"""Every training run and trial is a real W&B run: a file under the home folder, and at W&B too when there is a key."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import wandb

# A network that is away must not hold up a training; `wandb sync` sends later what is on disk.
INIT_SECONDS: Final = 20.0
FINISH_SECONDS: Final = 30.0


class Tracked:
    """A run that is being recorded."""

    def __init__(self, run: wandb.Run) -> None:
        self._run = run

    @property
    def file(self) -> Path:
        """The record on disk, which `wandb sync` and `wandb-core leet` read."""
        return Path(self._run.settings.sync_file)

    def log(self, metrics: Mapping[str, Any], step: int) -> None:
        self._run.log(dict(metrics), step=step)

    def summarise(self, metrics: Mapping[str, Any]) -> None:
        """What a table of runs shows for this one."""
        self._run.summary.update(dict(metrics))


@contextmanager
def run(*, project: str, name: str, group: str, config: Mapping[str, Any], folder: Path) -> Iterator[Tracked]:
    """A W&B run under `folder`/wandb. It is finished on every way out, with exit code 1 after an exception: SystemExit
    too, which is how a process leaves on SIGTERM. What is not finished loses its last rows and reads as running."""
    folder.mkdir(parents=True, exist_ok=True)
    about = {"project": project, "name": name, "group": group, "config": dict(config), "dir": str(folder)}
    started = _start(about)
    try:
        yield Tracked(started)
    except BaseException:
        started.finish(exit_code=1)
        raise
    started.finish()


def _start(about: Mapping[str, Any]) -> wandb.Run:
    import wandb

    if os.environ.get("WANDB_API_KEY"):
        try:
            return _init("online", about)
        except (wandb.errors.Error, TimeoutError) as error:
            print(f"W&B cannot be reached ({error}): the run is recorded offline; send it later with `wandb sync`.")  # noqa: T201
            sys.stdout.flush()
    return _init("offline", about)


def _init(mode: str, about: Mapping[str, Any]) -> wandb.Run:
    import wandb

    # What a training needs none of and which costs time at its start: console capture, git, system statistics.
    settings = wandb.Settings(
        mode=mode,  # type: ignore[arg-type]
        silent=True,
        console="off",
        symlink=False,
        disable_git=True,
        disable_code=True,
        x_disable_stats=True,
        x_disable_meta=True,
        x_save_requirements=False,
        init_timeout=INIT_SECONDS,
        finish_timeout=FINISH_SECONDS,
    )
    return wandb.init(**about, settings=settings, reinit="create_new")
