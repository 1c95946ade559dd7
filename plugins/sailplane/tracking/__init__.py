"""Every training run and trial is a real W&B run: a file under the home folder, and at W&B too when there is a key."""

from __future__ import annotations

import os
import shutil
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sailplane.errors import ConfigurationError

if TYPE_CHECKING:
    import wandb

# A network that is away must not hold up a training; `wandb sync` sends later what is on disk.
INIT_SECONDS: Final = 20.0
# Less than a job that is told to stop gets before it is killed: a trial's lease is given back after this.
FINISH_SECONDS: Final = 8.0
ARTIFACT_SECONDS: Final = 60
# A sweep's worker must not wait at each of its trials for a server that is not there.
AWAY_SECONDS: Final = 300.0

# Until when (by the monotonic clock) a server is not asked, by its address.
_away: dict[str | None, float] = {}


class Tracked:
    """A run that is being recorded."""

    def __init__(self, run: wandb.Run, stopped: threading.Event) -> None:
        self._run, self._stopped = run, stopped

    @property
    def file(self) -> Path:
        """The record on disk, which `wandb sync` and `wandb-core leet` read."""
        return Path(self._run.settings.sync_file)

    @property
    def told_to_stop(self) -> bool:
        """Somebody stopped this trial, or its sweep, at W&B."""
        return self._stopped.is_set()

    def log(self, metrics: Mapping[str, Any], step: int) -> None:
        self._run.log(dict(metrics), step=step)

    def summarise(self, metrics: Mapping[str, Any]) -> None:
        """What a table of runs shows for this one."""
        self._run.summary.update(dict(metrics))

    def refer(
        self, name: str, kind: str, references: Mapping[str, str], metadata: Mapping[str, Any], *, alias: str
    ) -> bool:
        """An artifact that has no files of its own: only where they lie. False: this run is recorded offline, and the
        artifact is at W&B once that is synced. Raises what W&B refuses it with."""
        import wandb

        artifact = wandb.Artifact(name, kind, metadata=dict(metadata))
        for part, uri in references.items():
            artifact.add_reference(uri, name=part, checksum=False)
        logged = self._run.log_artifact(artifact, aliases=[alias])
        if self._run.offline:
            return False
        logged.wait(ARTIFACT_SECONDS)
        return True


@contextmanager
def run(
    *, project: str, name: str, group: str, config: Mapping[str, Any], folder: Path, sweep: str | None = None
) -> Iterator[Tracked]:
    """A W&B run under `folder`/wandb, at W&B too with a WANDB_API_KEY, unless WANDB_MODE says otherwise; under the W&B
    sweep of that id, there and when it is synced later.

    It is finished on every way out, with exit code 1 after an exception: SystemExit too, which is how a process leaves
    on SIGTERM. What is not finished loses its last rows and reads as running. A server that is away or refuses the key
    costs one line and a wait, never the run. Raises ConfigurationError if W&B refuses its settings.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _check_settings()
    stopped = threading.Event()
    # A trial ends early with what it reached; otherwise the client interrupts the process.
    belongs = {"sweep_id": sweep, "stop_fn": stopped.set} if sweep else {}
    about = {"project": project, "name": name, "group": group, "config": dict(config), "dir": str(folder)}
    about |= {"settings": belongs}
    started = (_online(about) if may_ask() else None) or _init("offline", about)
    try:
        yield Tracked(started, stopped)
    except BaseException:
        _finish_failed(started)
        raise
    _finish(started, exit_code=0)


def _check_settings() -> None:
    """Before a run is begun, so that what is wrong with the environment is said as such."""
    # A run that is recorded offline must talk to nobody, and the client reports on itself in every mode.
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    if "WANDB_API_KEY" in os.environ:
        # A key out of a file ends in a newline, for which the client would refuse offline runs too.
        os.environ["WANDB_API_KEY"] = os.environ["WANDB_API_KEY"].strip()
    import wandb

    try:
        wandb.setup()
    except (wandb.errors.Error, ValueError) as error:
        raise ConfigurationError(
            "read",
            "the environment's WANDB_ variables",
            got=" ".join(str(error).split()),
            remedy="Correct or unset it.",
        ) from error


def may_send(environment: Mapping[str, str]) -> bool:
    """WANDB_MODE is the user's own switch; anything but online keeps the data here."""
    return bool(environment.get("WANDB_API_KEY", "").strip()) and environment.get("WANDB_MODE", "online") == "online"


def may_ask() -> bool:
    """Not a server that was away a moment ago."""
    return may_send(os.environ) and time.monotonic() >= _away.get(os.environ.get("WANDB_BASE_URL"), 0.0)


def _online(about: Mapping[str, Any]) -> wandb.Run | None:
    """None, after one line that says so, if W&B does not take the run."""
    import wandb

    run, records = uuid.uuid4().hex[:8], Path(about["dir"], "wandb")
    try:
        return _init("online", {**about, "id": run})
    except (wandb.errors.Error, TimeoutError) as error:
        # An empty run, which `wandb sync --include-online` would send.
        for left in records.glob(f"run-*-{run}"):
            shutil.rmtree(left)
        _say_away(
            f"start W&B run {about['name']}: {str(error).partition(chr(10))[0]}; expected a server that can be reached "
            f"and that knows the WANDB_API_KEY. It is recorded offline: send it later with `wandb sync {records}`."
        )
    return None


def _finish(run: wandb.Run, *, exit_code: int) -> None:
    try:
        run.finish(exit_code=exit_code)
    except TimeoutError:
        _say_away(
            f"finish W&B run {run.name}: not all of it is at the server after {FINISH_SECONDS:.0f} s, all of it is on "
            f"disk. Send it later with `wandb sync --include-online {Path(run.settings.sync_file).parent}`."
        )


def _finish_failed(run: wandb.Run) -> None:
    """Keeps the error that ended the run, even if W&B's own process was stopped together with this one."""
    try:
        _finish(run, exit_code=1)
    except Exception as error:
        got = f"{type(error).__name__}: {error}"
        print(f"finish W&B run {run.name}: {got}. Its last rows may be missing.", flush=True)  # noqa: T201


def _say_away(line: str) -> None:
    _away[os.environ.get("WANDB_BASE_URL")] = time.monotonic() + AWAY_SECONDS
    print(f"{line} Runs of the next {AWAY_SECONDS / 60:.0f} minutes are recorded offline too.", flush=True)  # noqa: T201


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
        finish_timeout_raises=True,
        **about["settings"],
    )
    return wandb.init(**{**about, "settings": settings}, reinit="create_new")
