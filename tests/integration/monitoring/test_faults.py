"""The log of requests on a full disk, and the service that ships it."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import httpx
import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from sailplane import pairing
from sailplane.cli import main
from sailplane.home import Home
from sailplane.monitoring import Counts, export, requests
from sailplane.operators import ShipRequestsOperator
from sailplane.services import log_exporter
from sailplane.serving.spool import LogEntry, Writer, files, read
from sailplane.storage import Storage
from tests.homes import new_home
from tests.integration.monitoring.conftest import SELDON, Serve
from tests.integration.serving.model_server import Server
from tests.platform import until
from tests.s3 import s3_server
from tests.small_disk import SmallDisk, disks
from tests.unit.bundles import tiny

Disk = Callable[[Path], AbstractContextManager[SmallDisk]]


def ask(server: Server, names: list[str]) -> None:
    """Sends requests, none of which may fail or be slow."""
    with httpx.Client(base_url=f"http://127.0.0.1:{server.port}", trust_env=False, timeout=5) as client:
        for name in names:
            answer = client.post(SELDON, json={"jsonData": tiny.RECORD, "meta": {"puid": name}})
            assert answer.status_code == 200


def dropped(server: Server) -> dict[str, float]:
    text = httpx.get(f"http://127.0.0.1:{server.port}/metrics", trust_env=False).text
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return {one.labels["reason"]: one.value for one in samples if one.name == "sailplane_request_log_dropped_total"}


def written(spool: Path) -> list[str]:
    return [entry.id for path in files(spool) for entry in read(path)[1]]


@contextmanager
def full(disk: SmallDisk, server: Server, spool: Path) -> Iterator[None]:
    """Makes the disk full. If the limit is the size of a file, it is reached in the middle of a file."""
    with disk.full(leave=0):
        if disk.folder.is_mount():
            yield
            return
        size = max(path.stat().st_size for path in files(spool))
        before = resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (size + 50, resource.RLIM_INFINITY))
        try:
            yield
        finally:
            resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("way", disks(), ids=lambda way: way.__name__)
def test_a_full_disk_fails_no_request_and_what_is_lost_is_counted_until_there_is_room_again(
    way: Disk, served: Serve, storage: Storage, tmp_path: Path
) -> None:
    early, lost, late = ([f"{part}-{number}" for number in range(40)] for part in ("early", "lost", "late"))
    with way(tmp_path / "disk") as disk:
        spool = disk.folder / "requests"
        with served(below=spool) as server:
            ask(server, early)
            until(lambda: len(written(spool)) == len(early) or None, 30, "all of them in the file")
            with full(disk, server, spool):
                ask(server, lost)
                until(lambda: dropped(server) == {"disk": len(lost)} or None, 30, "the count")
            ask(server, late)
            told = dropped(server)
        assert "not logged" in server.log.read_text()
        export(spool, storage)
    counts = Counts()
    assert set(requests(storage, "flights", counts=counts)["id"]) == {*early, *late}
    assert counts.dropped == told == {"disk": len(lost)}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("SAILPLANE_HOME", str(tmp_path / "home"))
    return new_home()


@contextmanager
def service(home: Home, log: Path, **env: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-P", "-m", "sailplane.cli", "run", log_exporter.NAME]
    with log.open("wb") as output:
        process = subprocess.Popen(command, env={**os.environ, **env}, stdout=output, stderr=output)
    try:
        yield process
    finally:
        process.terminate()
        assert process.wait(30) in (0, -signal.SIGTERM)


def test_the_service_ships_what_is_complete_and_is_next_to_nothing_at_rest(
    home: Home, served: Serve, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with served(below=home.requests) as server:
        ask(server, ["1", "2"])
    storage = Storage(home.store)
    with service(home, tmp_path / "service.log") as process:
        until(lambda: not files(home.requests) or None, 60, (tmp_path / "service.log").read_text())
        one = psutil.Process(process.pid)
        until(lambda: not one.children() or None, 30, "the end of the shipment")
        assert one.memory_full_info().pss < 15e6
    assert requests(storage, "flights")["id"].tolist() == ["1", "2"]
    assert main(["requests", "flights", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["requests"], told["dropped"], [*told["versions"].values()]) == (2, {}, [{"200": 2}])
    output, labels = tmp_path / "joined.parquet", tmp_path / "labels.csv"
    labels.write_text("id,truth\n1,0\n7,1\n")
    assert main(["requests", "flights", "--labels", str(labels), "--output", str(output)]) == 0
    assert "2 requests, 1 rows with the truth" in (said := capsys.readouterr().out)
    assert "Labels: 2, 0 of them repeated, 1 with unknown ids" in said
    assert output.exists()
    for wrong, told in (
        (["nothing"], "find the requests of nothing: no logged requests; expected one of flights"),
        (["nothing", "--output", str(output)], "find the requests of nothing: no logged requests"),
        (["flights", "--output", str(tmp_path / "no" / "such.parquet")], "write"),
        (["flights", "--from", "2026-10-02", "--to", "2026-10-01"], "expected a day that is not after --to"),
    ):
        assert main(["requests", *wrong]) == 1
        assert told in capsys.readouterr().err


def test_what_only_airflow_can_ship_waits_and_is_said_until_a_task_does_it(
    home: Home, served: Serve, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with served(below=home.requests) as server:
        ask(server, ["1", "2"])
    (home.root / pairing.MEMORY).unlink()
    monkeypatch.setenv("SAILPLANE_STORE", "s3://lake@sailplane")
    assert log_exporter.main() == 1
    assert len(files(home.requests)) == 1
    assert main(["status"]) == 1
    said = capsys.readouterr().out
    assert "0.0 MB of the request log are not exported: ship requests to s3://sailplane: " in said
    assert "only Airflow can read. Let a DAG's ShipRequestsOperator do it." in said
    with s3_server(tmp_path / "s3") as s3:
        extra = {"endpoint_url": s3.endpoint, "region_name": s3.access.region}
        lake = {"conn_type": "aws", "login": s3.access.key, "password": s3.access.secret, "extra": extra}
        monkeypatch.setenv("AIRFLOW_CONN_LAKE", json.dumps(lake))
        assert ShipRequestsOperator(task_id="ship").execute({})["rows"] == 2
        assert requests(Storage(f"s3://{s3.bucket}", lambda: s3.access), "flights")["id"].tolist() == ["1", "2"]
    assert (log_exporter.failure(home.requests), files(home.requests)) == (None, [])


def test_a_file_that_cannot_be_read_stays_for_a_person_who_is_told_and_holds_up_no_other(
    home: Home, served: Serve, capsys: pytest.CaptureFixture[str]
) -> None:
    with served(below=home.requests) as server:
        ask(server, ["1"])
    [good] = files(home.requests)
    writer = Writer(good.parent, {"model": "flights", "version": "of a later release"})
    writer.write([LogEntry(1.0, 0.0, 200, 77, False, "?", b"", b"")])
    writer.close()
    [other] = {*files(home.requests)} - {good}
    storage, apart = Storage(home.store), other.with_suffix(".unreadable")
    assert export(home.requests, storage).rows == 1
    assert [path for path in home.requests.rglob("*") if path.is_file()] == [apart]
    assert requests(storage, "flights")["id"].tolist() == ["1"]
    assert main(["requests", "flights"]) == 0
    assert capsys.readouterr().err == f"Skipped unreadable files: {apart}\n"


def test_what_the_disk_does_not_give_is_said_and_nothing_is_set_aside_for_it(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    file = home.requests / "flights" / "v1" / "a folder.spool"
    file.mkdir(parents=True)
    assert log_exporter.main() == 1
    assert "Is a directory" in (log_exporter.failure(home.requests) or "")
    assert files(home.requests) == [file]
