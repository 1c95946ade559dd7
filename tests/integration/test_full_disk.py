"""A disk that fills up in the middle of a stage: the error is one line with the remedy, nothing is half-written, and
the next run succeeds."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa
from pandera.pandas import Column, DataFrameSchema

from sailplane.datasets import ingest, load
from sailplane.errors import StorageError
from sailplane.files import replace_file
from sailplane.home import Home
from sailplane.ledger import Ledger
from sailplane.ledger.tables import aliases
from sailplane.records import Dataset, Interval
from sailplane.registry.models import get, register
from sailplane.storage import Storage
from tests.environments import copy_installer
from tests.small_disk import FILLER, SmallDisk, disks
from tests.unit.bundles import tiny

PACKAGE = Path(__file__).parents[2] / "plugins"
KILOBYTE = 1024
START = datetime(2026, 1, 1, tzinfo=UTC)
WEEK = Interval(start=START, end=START + timedelta(days=7))
SCHEMA = DataFrameSchema({"time": Column(pd.DatetimeTZDtype("us", "UTC")), "height": Column(float)})
# The errors of a full disk and of `ulimit -f` name a remedy.
REMEDY = (
    r"(disk is (too )?full|database or disk is full|disk I/O error|`ulimit -f`).*(Free some space|Raise that limit)"
)


@pytest.fixture(params=disks(), ids=lambda way: way.__name__)
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SmallDisk]:
    with request.param(tmp_path / "disk") as small:
        yield small


@pytest.fixture
def home(disk: SmallDisk, tmp_path: Path) -> Home:
    return Home.find({"SAILPLANE_PROJECT": str(tmp_path), "SAILPLANE_HOME": str(disk.folder / "home")})


@pytest.fixture
def storage(home: Home) -> Storage:
    return Storage(home.store)


def test_a_temporary_folder_that_finds_no_room_says_so() -> None:
    """Python reports it with a FileNotFoundError."""
    program = (
        "import resource\n"
        "from sailplane.files import temporary_folder\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))\n"
        "with temporary_folder():\n    pass"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], env={"PYTHONPATH": str(PACKAGE)}, capture_output=True, text=True
    )
    assert "StorageError: make a temporary folder: No usable temporary directory" in ended.stderr
    assert "set TMPDIR to a folder on another disk" in ended.stderr


def files(folder: Path) -> dict[str, str]:
    """Returns all files except the filler, with their digests."""
    found = [path for path in folder.rglob("*") if path.is_file() and path.name != FILLER]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in found}


def test_an_object_that_finds_no_room_leaves_what_was_there(disk: SmallDisk, storage: Storage) -> None:
    storage.put("kept", b"old")
    before = files(disk.folder)
    with disk.full(leave=64 * KILOBYTE):
        with pytest.raises(StorageError, match=REMEDY) as refused:
            storage.put("kept", bytes(128 * KILOBYTE))
        assert storage.uri("kept") in str(refused.value)
        assert "\n" not in str(refused.value)
        with pytest.raises(StorageError, match=REMEDY):
            storage.put_new("new", bytes(128 * KILOBYTE))
        assert files(disk.folder) == before
    storage.put("kept", bytes(128 * KILOBYTE))
    assert storage.put_new("new", bytes(128 * KILOBYTE))


def test_a_file_that_finds_no_room_stays_as_it_was(disk: SmallDisk) -> None:
    file = disk.folder / "settings.json"
    replace_file(file, "old")
    with disk.full(leave=64 * KILOBYTE):
        with pytest.raises(StorageError, match=f"write {file}: .*{REMEDY}"):
            replace_file(file, "new" * 32 * KILOBYTE)
        assert [path.name for path in disk.folder.iterdir() if path.name != FILLER] == ["settings.json"]
        assert file.read_text() == "old"


def extract(start: datetime, end: datetime) -> pd.DataFrame:
    """Returns days that are each larger than the day before, and cannot be compressed."""
    return pd.concat([_day(day) for day in pd.date_range(start, end, inclusive="left")], ignore_index=True)


def _day(day: pd.Timestamp) -> pd.DataFrame:
    times = pd.date_range(day, periods=4000 * (day.day + 1), freq="1s", unit="us")
    return pd.DataFrame({"time": times, "height": np.random.default_rng(day.day).normal(size=len(times))})


def ingested(storage: Storage) -> Dataset:
    return ingest(storage, name="heights", extract=extract, schema=SCHEMA, time="time", interval=WEEK)


def test_an_ingestion_without_room_keeps_whole_partitions_only_and_the_next_one_completes_them(
    disk: SmallDisk, storage: Storage, tmp_path: Path
) -> None:
    with disk.full(leave=160 * KILOBYTE):
        with pytest.raises(StorageError, match=REMEDY):
            ingested(storage)
        assert storage.list("datasets/heights/versions") == []
        markers = [json.loads(storage.get(path)) for path in storage.list("datasets") if path.endswith(".json")]
        written = [path for path in storage.list("datasets") if path.endswith(".parquet")]
        assert {marker["digest"] for marker in markers} <= {Path(path).stem for path in written}
        assert [path for path in written if hashlib.sha256(storage.get(path)).hexdigest() != Path(path).stem] == []
    dataset = ingested(storage)
    assert dataset.version == ingested(Storage((tmp_path / "roomy").as_uri())).version
    assert len(load(storage, dataset)) == dataset.rows


def test_a_transaction_without_room_changes_nothing(disk: SmallDisk, home: Home) -> None:
    ledger = Ledger.create(home.ledger)

    def insert(name: str, size: int) -> None:
        with ledger.begin() as connection:
            connection.execute(sa.insert(aliases).values(name=name, alias="a" * size, version="v", changed=1))

    def names() -> list[str]:
        with ledger.begin() as connection:
            return list(connection.execute(sa.select(aliases.c.name).order_by(aliases.c.name)).scalars())

    insert("first", 1)
    refused = pytest.raises(StorageError, match=f"ledger {home.root / 'ledger.db'}: .*{REMEDY}")
    with disk.full(leave=192 * KILOBYTE), refused:
        insert("second", 256 * KILOBYTE)
    assert names() == ["first"]
    # More bytes than fit beside the log, which keeps its space.
    with disk.full(leave=0), pytest.raises(StorageError, match=REMEDY):
        insert("second", 512 * KILOBYTE)
    insert("second", 1)
    assert names() == ["first", "second"]


def test_a_ledger_that_cannot_be_made_is_made_once_there_is_room(disk: SmallDisk, home: Home) -> None:
    home.root.mkdir()
    with disk.full(leave=0), pytest.raises(StorageError, match=REMEDY):
        Ledger.create(home.ledger)
    with Ledger.create(home.ledger).begin() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(aliases)) == 0


def test_a_model_without_room_is_not_registered_until_there_is(
    disk: SmallDisk, home: Home, storage: Storage, tmp_path: Path
) -> None:
    ledger = Ledger.create(home.ledger)
    run = tiny.run_of(tiny.bundle(tmp_path / "bundle"), storage)
    with disk.full(leave=0):
        with pytest.raises(StorageError, match=REMEDY):
            register(ledger, storage, run)
        assert [path for path in storage.list("models") if path.endswith("manifest.json")] == []
    model = register(ledger, storage, run)
    assert get(ledger, model.name, model.version) == model


@pytest.mark.parametrize("command", ["up --no-run", "run api-server", "airflow version", "status"])
def test_a_command_on_a_full_disk_says_so_in_one_line(disk: SmallDisk, home: Home, command: str) -> None:
    (home.project / "dags").mkdir()
    with disk.full(leave=0):
        ended = sailplane(home, *command.split())
        assert ended.returncode == 1
        assert ended.stderr.startswith("sailplane: ")
        assert ended.stderr.count("\n") == 1, ended.stderr
        assert str(home.root) in ended.stderr
        assert "Free some space" in ended.stderr or "Raise that limit" in ended.stderr
        drafts = [path.name for path in home.root.rglob(".*")]
        assert drafts == []
    stopped = sailplane(home, "status")
    assert stopped.stderr == ""
    assert stopped.stdout.count("stopped") == 7


def test_an_installation_on_a_full_disk_ends_with_one_line_and_counts_as_none(disk: SmallDisk) -> None:
    project = disk.folder / "project"
    command = [sys.executable, "-I", str(copy_installer(project))]
    # With torch installed the rest is small, so the free space is not checked beforehand.
    version = "python{}.{}".format(*sys.version_info[:2])
    (project / ".venv/lib" / version / "site-packages/torch").mkdir(parents=True)
    with disk.full(leave=64 * KILOBYTE):
        ended = subprocess.run(command, env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1, ended.stderr
    # The limit on a file's size is not a full disk: the installer's output ends with the system's words.
    full, failed = r"the disk is full: 0 MB .*Free some space", r"the installation failed: Error: .*The log is"
    assert re.match(f"sailplane: ({full}|{failed})", ended.stderr)
    assert not (project / ".venv/installed.json").exists()


def sailplane(home: Home, *arguments: str) -> subprocess.CompletedProcess[str]:
    settings = {"SAILPLANE_HOME": str(home.root), "SAILPLANE_PROJECT": str(home.project), "PYTHONPATH": str(PACKAGE)}
    command = [sys.executable, "-m", "sailplane.cli", *arguments]
    return subprocess.run(command, env=settings, cwd=home.project, capture_output=True, text=True, timeout=60)
