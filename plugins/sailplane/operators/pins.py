"""The version of the user's code that a task runs: its DAG run's. See sailplane.registry.pins."""

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
    """The digest of the archive that this task uses. The log says so if the project's code differs from it."""
    from sailplane.registry.lineage import code_path
    from sailplane.registry.pins import pin
    from sailplane.registry.sources import snapshot

    home, storage = Home.find(), SailplaneStorageHook().get_conn()
    now = snapshot(home.project, _code_paths(task))
    # Before the ledger refers to it.
    storage.keep(code_path(now.digest), now.archive)
    found = pin(pairing.ledger(home), _start(task, context), now.digest)
    _tell(task, context, storage, found, now)
    return found.digest


def use_pinned(task: BaseOperator, digest: str) -> Path:
    """Load user code from that archive from now on; returns the folder of its copy."""
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
    """The code paths of all tasks of the DAG, which may name modules beside include/."""
    tasks = dag.tasks if (dag := task.get_dag()) else [task]
    return sorted({path for one in tasks for path in named_code(one)})


def named_code(task: Any) -> Iterator[str]:
    """The code paths among the arguments of a task, mapped or not."""
    given = getattr(task, "partial_kwargs", None) or vars(task)
    for name in _CODE:
        if isinstance(path := given.get(name), str):
            yield path


def _tell(task: BaseOperator, context: Context, storage: Storage, pin: Pin, now: Sources) -> None:
    """Warn if the files of this task's code differ between the project and the run's own or earlier version."""
    other = pin.before if pin.is_new else pin.digest
    if other is None or not (differing := _differing(task, storage, other, now)):
        return
    if pin.is_new:
        said = (
            f"The code has changed since the last time ({differing}): "
            "this task, and what follows it, use the new version."
        )
    else:
        remedy = "To use the new one, clear the run, or the train step and all that follows it."
        said = (
            f"The code has changed since this run started ({differing}); the run goes on with its own version. {remedy}"
        )
    task.log.warning("%s", said)
    context["ti"].xcom_push(key="code", value=said)


def _differing(task: BaseOperator, storage: Storage, other: str, now: Sources) -> str:
    """The files of this task's code, and those beside them, that differ from the archive `other`; empty if none do."""
    from sailplane.registry.lineage import code_path
    from sailplane.registry.sources import changed, paths

    if other == now.digest:
        return ""
    try:
        before = storage.get(code_path(other))
    except FileNotFoundError:
        return f"version {other[:12]} was collected as garbage"
    mine = paths(Home.find().project, named_code(task))
    folders = {path.rpartition("/")[0] for path in mine}
    files = [path for path in changed(before, now.archive) if path in mine or path.rpartition("/")[0] in folders]
    return ", ".join(files[:MOST_NAMED]) + (", ..." if len(files) > MOST_NAMED else "")
