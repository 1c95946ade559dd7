from __future__ import annotations

import hashlib
import re
import time
from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from airflow.sdk import BaseOperator, Context, ResumableJobMixin

from sailplane.home import Home
from sailplane.hooks.storage import SailplaneStorageHook
from sailplane.hooks.wandb import tracking_settings
from sailplane.operators.retries import USER_ERRORS_FAIL
from sailplane.storage import Access

if TYPE_CHECKING:
    from sailplane.training.jobs import Job
    from sailplane.training.specs import Spec

POLL_SECONDS = 0.2
# A session's token is valid for longer; see sailplane.storage.access.
GRANT_SECONDS = 300


class DetachedJobOperator(ResumableJobMixin, BaseOperator):
    """Runs a process that outlives its task, and follows the process's log.

    A retry finds the running process again, or takes its result if it has ended. A failed process is restarted and
    resumes from what it saved. A clear starts from the beginning. Marking the task as failed stops the process.
    """

    external_id_key = "job"

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"retry_policy": USER_ERRORS_FAIL, **kwargs})
        self._job: Job | None = None

    @abstractmethod
    def specification(self, context: Context) -> Spec: ...

    def execute(self, context: Context) -> Any:
        return self.execute_resumable(context)

    def submit_job(self, context: Context) -> Any:
        job = self._at(_folder(context))
        handle = job.start(self.specification(context), self._access(), tracking_settings())
        return {"folder": str(job.folder), **handle}

    def get_job_status(self, external_id: Any, context: Context) -> str:
        return self._at(Path(cast(Mapping[str, str], external_id)["folder"])).state()

    def is_job_active(self, status: str) -> bool:
        return status == "running"

    def is_job_succeeded(self, status: str) -> bool:
        return status == "succeeded"

    def poll_until_complete(self, external_id: Any, context: Context) -> Any:
        """Follows the process to its end and returns its result, which the mixin returns after a reconnect."""
        job, offset = self._at(Path(external_id["folder"])), 0
        granted = 0.0
        while True:
            if time.monotonic() > granted + GRANT_SECONDS and job.state() == "running":
                job.grant(self._access())
                granted = time.monotonic()
            active = self.is_job_active(job.state())
            text, offset = job.read_log(offset)
            for line in text.splitlines():
                self.log.info("%s", line)
            if not active:
                return job.result()
            time.sleep(POLL_SECONDS)

    def get_job_result(self, external_id: Any, context: Context) -> Any:
        """Returns the result of the process, or raises its error."""
        return self._at(Path(external_id["folder"])).result()

    def on_kill(self) -> None:
        if self._job is not None:
            self._job.stop()

    def _access(self) -> dict[str, Access]:
        """The credentials for the process's store, because only a task can read Airflow's connections."""
        hook = SailplaneStorageHook()
        ask = hook.access()
        return {hook.root.uri: ask()} if ask else {}

    def _at(self, folder: Path) -> Job:
        from sailplane.training.jobs import Job

        self._job = Job(folder)
        return self._job


def _folder(context: Context) -> Path:
    ti = context["ti"]
    task = ti.task_id if ti.map_index is None or ti.map_index < 0 else f"{ti.task_id}.{ti.map_index}"
    return Home.find().jobs / ti.dag_id / run_name(context) / task


def run_name(context: Context) -> str:
    """The run's id as a folder name, such as `scheduled__2026-11-20T00-00-00`. Different runs have different names."""
    run_id: str = context["ti"].run_id.removesuffix("+00:00")
    name = run_id.replace(":", "-")
    # Excludes "..", which is another folder.
    if re.fullmatch(r"[\w.-]*[\w-]", name, re.ASCII):
        return name
    return f"{re.sub(r'[^A-Za-z0-9_.-]', '-', name)}-{hashlib.sha256(run_id.encode()).hexdigest()[:8]}"
