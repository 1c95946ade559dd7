"""Pins the version of the user's code for the tasks of a DAG run. See sailplane.registry.pins."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from airflow.sdk import BaseOperator, Context

from sailplane import code, pairing
from sailplane.home import Home
from sailplane.hooks.storage import SailplaneStorageHook

if TYPE_CHECKING:
    from sailplane.registry.pins import Pin
    from sailplane.registry.sources import Sources
    from sailplane.storage import Storage

# The arguments of operators that name user code.
_CODE: Final = ("extract", "schema", "features", "train", "baseline")
MOST_NAMED: Final = 5


def pin_code(task: BaseOperator, context: Context) -> str:
    """The digest of the code archive that this task uses. Logs it if the project's code differs from the archive."""
    from sailplane.registry.lineage import code_path
    from sailplane.registry.pins import pin
    from sailplane.registry.sources import snapshot

    home, storage = Home.find(), SailplaneStorageHook().get_conn()
    now = snapshot(home.project, _code_paths(task))
    # The archive must be stored before the ledger refers to it.
    storage.keep(code_path(now.digest), now.archive)
    found = pin(pairing.ledger(home), _start(task, context), now.digest)
    _warn(task, context, storage, found, now)
    return found.digest


def use_pinned(task: BaseOperator, digest: str) -> Path:
    """Loads user code from this archive from now on; returns the folder of its copy."""
    from sailplane.registry.pins import unpacked

    folder = unpacked(Home.find(), SailplaneStorageHook().get_conn(), digest)
    code.use(folder)
    task.log.info("User code: version %s, in %s", digest[:12], folder)
    return folder


def _start(task: BaseOperator, context: Context) -> Any:
    from sailplane.registry.pins import Start

    ti = context["ti"]
    return Start(
        dag=ti.dag_id,
        run=ti.run_id,
        task=ti.task_id,
        index=-1 if ti.map_index is None else ti.map_index,
        turn=ti.max_tries,
        attempt=ti.try_number,
        clear=context["dag_run"].clear_number or 0,
        after=frozenset(task.get_flat_relative_ids(upstream=True)) if task.get_dag() else frozenset(),
    )


def _code_paths(task: BaseOperator) -> list[str]:
    """The code paths of all tasks of the DAG, which may name modules outside include/."""
    tasks = dag.tasks if (dag := task.get_dag()) else [task]
    return sorted({path for each in tasks for path in named_code(each)})


def named_code(task: Any) -> Iterator[str]:
    """The code paths among the arguments of a task, mapped or not."""
    given = getattr(task, "partial_kwargs", None) or vars(task)
    for name in _CODE:
        if isinstance(path := given.get(name), str):
            yield path


def _warn(task: BaseOperator, context: Context, storage: Storage, pin: Pin, now: Sources) -> None:
    """Logs a warning if the files of this task's code differ between the project and the run's own or earlier
    version."""
    other = pin.before if pin.is_new else pin.digest
    if other is None or not (differing := _differing(task, storage, other, now)):
        return
    if pin.is_new:
        message = (
            f"The code has changed since the last time ({differing}): this task and all later ones use the new version."
        )
    else:
        remedy = "To use the new version, clear the run, or the train step and all later tasks."
        message = f"The code has changed since this run started ({differing}); the run keeps its own version. {remedy}"
    task.log.warning("%s", message)
    context["ti"].xcom_push(key="code", value=message)


def _differing(task: BaseOperator, storage: Storage, other: str, now: Sources) -> str:
    """The files of this task's code, and of the same folders, that differ from the archive `other`."""
    from sailplane.registry.lineage import code_path
    from sailplane.registry.sources import changed, paths

    if other == now.digest:
        return ""
    try:
        before = storage.get(code_path(other))
    except FileNotFoundError:
        return f"version {other[:12]} was deleted as garbage"
    mine = paths(Home.find().project, named_code(task))
    folders = {path.rpartition("/")[0] for path in mine}
    files = [path for path in changed(before, now.archive) if path in mine or path.rpartition("/")[0] in folders]
    return ", ".join(files[:MOST_NAMED]) + (", ..." if len(files) > MOST_NAMED else "")
