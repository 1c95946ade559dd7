"""Records every training run and trial as a W&B run: in a file under the home folder, and at W&B if there is a key."""

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

# A broken network must not delay a training; `wandb sync` sends the file later.
INIT_SECONDS: Final = 20.0
# Less than the time between a job's SIGTERM and its SIGKILL, because the lease of a trial is released after this.
FINISH_SECONDS: Final = 8.0
ARTIFACT_SECONDS: Final = 60
# How long not to contact an unreachable server, so that a sweep worker does not wait for it in every trial.
AWAY_SECONDS: Final = 300.0

# By server address: the time, on the monotonic clock, until which the server is not contacted.
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
    def stop_requested(self) -> bool:
        """Whether a user stopped this trial or its sweep at W&B."""
        return self._stopped.is_set()

    def log(self, metrics: Mapping[str, Any], step: int) -> None:
        """Records the metrics of a step."""
        self._run.log(dict(metrics), step=step)

    def summarise(self, metrics: Mapping[str, Any]) -> None:
        """Sets the metrics that a table of runs shows for this run."""
        self._run.summary.update(dict(metrics))

    def refer(
        self, name: str, kind: str, references: Mapping[str, str], metadata: Mapping[str, Any], *, alias: str
    ) -> bool:
        """Logs an artifact that only refers to files elsewhere. Returns False if this run is offline, so that the
        artifact reaches W&B with the sync. Raises W&B's error if it refuses."""
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
    """Records a W&B run under `folder`/wandb, and at W&B with a WANDB_API_KEY, unless WANDB_MODE forbids it. It belongs
    to the W&B sweep with the id `sweep`, also if it is synced later.

    It is always finished, with exit code 1 after an exception, including SystemExit, which SIGTERM raises. An
    unfinished run loses its last rows and appears as running. If the server is unreachable or refuses the key, the run
    continues after a wait and one line of log. Raises ConfigurationError if W&B refuses its settings.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _check_settings()
    stopped = threading.Event()
    # A stopped trial ends early with its results so far. Without this the client interrupts the process.
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
    """Raises ConfigurationError before a run starts, so that the error names the environment."""
    # An offline run must not use the network, and the client sends error reports in every mode.
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    if "WANDB_API_KEY" in os.environ:
        # A key read from a file ends in a newline, with which the client would refuse even offline runs.
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
    """Whether WANDB_MODE allows sending: any value but online keeps the data on this machine."""
    return bool(environment.get("WANDB_API_KEY", "").strip()) and environment.get("WANDB_MODE", "online") == "online"


def may_ask() -> bool:
    """Whether to contact the server: not if it was unreachable a moment ago."""
    return may_send(os.environ) and time.monotonic() >= _away.get(os.environ.get("WANDB_BASE_URL"), 0.0)


def _online(about: Mapping[str, Any]) -> wandb.Run | None:
    """A run at W&B; None, after one line of log, if W&B does not accept it."""
    import wandb

    run, records = uuid.uuid4().hex[:8], Path(about["dir"], "wandb")
    try:
        return _init("online", {**about, "id": run})
    except (wandb.errors.Error, TimeoutError) as error:
        # Remove the empty run, which `wandb sync --include-online` would send.
        for left in records.glob(f"run-*-{run}"):
            shutil.rmtree(left)
        _say_away(
            f"start W&B run {about['name']}: {str(error).partition(chr(10))[0]}; expected a reachable server "
            f"that accepts the WANDB_API_KEY. The run is recorded offline: send it later with `wandb sync {records}`."
        )
    return None


def _finish(run: wandb.Run, *, exit_code: int) -> None:
    try:
        run.finish(exit_code=exit_code)
    except TimeoutError:
        _say_away(
            f"finish W&B run {run.name}: the upload did not finish within {FINISH_SECONDS:.0f} s. All of it is on "
            f"disk: send it later with `wandb sync --include-online {Path(run.settings.sync_file).parent}`."
        )


def _finish_failed(run: wandb.Run) -> None:
    """Finishes a failed run and preserves its error, even if W&B's own process was stopped too."""
    try:
        _finish(run, exit_code=1)
    except Exception as error:
        got = f"{type(error).__name__}: {error}"
        print(f"finish W&B run {run.name}: {got}. Its last rows may be missing.", flush=True)  # noqa: T201


def _say_away(line: str) -> None:
    _away[os.environ.get("WANDB_BASE_URL")] = time.monotonic() + AWAY_SECONDS
    print(f"{line} Runs in the next {AWAY_SECONDS / 60:.0f} minutes are also recorded offline.", flush=True)  # noqa: T201


def _init(mode: str, about: Mapping[str, Any]) -> wandb.Run:
    import wandb

    # Turns off features that slow down the start and that training does not need: console capture, git, system
    # statistics.
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
