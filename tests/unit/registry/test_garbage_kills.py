"""The garbage collector is killed before each of its writes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.homes import new_ledger
from tests.unit.registry.states import DAYS, OLD, State

# For n = 1, 2, ..., a child process on a fresh copy of the folder kills itself at its n-th write, and the remaining
# paths are printed. Then another child ends the work. The last line is the result of an undisturbed child. This process
# opens no store, because obstore does not survive a fork.
KILLED = """
import json, os, shutil, signal, sqlite3, sys
from pathlib import Path
import sqlalchemy as sa
from sailplane.ledger import Ledger
from sailplane.registry.garbage import Collector
from sailplane.storage import Storage

folder = Path(sys.argv[1])
fresh = folder.with_name("fresh")
shutil.copytree(folder, fresh)

def collect(kill_at):
    left = kill_at
    def passes():
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
    for verb in ("put", "delete"):
        def watched(self, *arguments, real=getattr(Storage, verb)):
            passes()
            return real(self, *arguments)
        setattr(Storage, verb, watched)
    ledger = Ledger(f"sqlite:///{folder / 'ledger.db'}")
    sa.event.listen(ledger.engine, "commit", lambda _: passes())
    Collector(ledger, Storage((folder / "store").as_uri()), keep=1).collect()

def child(kill_at):
    pid = os.fork()
    if not pid:
        code = 1
        try:
            collect(kill_at)
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

def state():
    store = folder / "store"
    files = {str(f.relative_to(store)): f.read_text() for f in store.rglob("*") if f.is_file()}
    with sqlite3.connect(folder / "ledger.db") as database:
        return {"files": files, "versions": [v for (v,) in database.execute("SELECT version FROM models ORDER BY 1")]}

count, ended = 0, -9
while ended == -9:
    count += 1
    shutil.rmtree(folder)
    shutil.copytree(fresh, folder)
    ended = child(count)
    killed = state()
    assert child(0) == 0
    print(json.dumps([killed, state()]))
sys.exit(ended)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def state(folder: Path) -> State:
    """Three versions, of which nothing needs the second. An object in the trash is a week old."""
    folder.mkdir()
    state = State(new_ledger(f"sqlite:///{folder / 'ledger.db'}"), folder)
    for number in range(3):
        state.needed |= state.dataset(f"v{number}", DAYS[number : number + 1]) if number != 1 else set()
        run, mine = state.run(f"m/{number}", f"v{number}", code=f"c{number}")
        of_model = state.model(f"{number}", run, created=OLD - number)
        state.needed |= mine | of_model if number != 1 else set()
    state.alias("champion", "0")
    state.put("trash/2026-01-01/code/older.zip")
    state.ledger.engine.dispose()
    return state


@pytest.mark.slow
def test_killed_at_any_write_nothing_is_lost_and_the_next_run_ends_the_work(state: State, folder: Path) -> None:
    before = {path: state.storage.get(path).decode() for path in state.paths()}
    ended = subprocess.run([sys.executable, "-c", KILLED, folder], capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stderr
    found = [json.loads(line) for line in ended.stdout.splitlines()]
    assert len(found) > 20, "it was killed at many places"
    whole = found[-1][0]
    assert whole["versions"] == ["0", "2"]
    for number, (killed, after) in enumerate(found, 1):
        for path, content in before.items():
            in_trash = [text for place, text in killed["files"].items() if _was(place) == path]
            assert content in (killed["files"].get(path), *in_trash), f"{path} is lost, killed at {number}"
        assert state.needed <= killed["files"].keys(), number
        for version in killed["versions"]:
            assert f"models/m/{version}/manifest.json" in killed["files"], number
        assert after["versions"] == whole["versions"]
        assert _used(after) == _used(whole), number


def _was(place: str) -> str:
    """Returns the previous path of an object in the trash."""
    return place.split("/", 2)[2] if place.startswith("trash/20") else ""


def _used(state: dict[str, dict[str, str]]) -> set[str]:
    return {path for path in state["files"] if not path.startswith("trash/")}
