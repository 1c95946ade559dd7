"""Folders to and from S3, compared with other clients on the same server, and a file to and from a Data API, compared
with the official client. The disk's cache is flushed before each move. rclone takes part if it is installed."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.benchmarks import verified
from tests.benchmarks.peers import peer_python
from tests.benchmarks.row import Row
from tests.integration.storage.twin import TwinServer, twin_server
from tests.s3 import S3Server, s3_server

ROUNDS = 3
CLIENTS = Path(__file__).with_name("clients")
# The sizes of one large file and of many small files: number, and bytes of each.
SETS = {"1 GiB": (1, 2**30), "2,000 x 64 KiB": (2000, 2**16)}


@dataclass(frozen=True)
class Cost:
    """Seconds, CPU seconds of the client, and its peak memory in MiB."""

    seconds: float
    cpu: float
    memory: float


Costs = dict[str, Cost]
# The hook's pool has room for its threads, like boto3's own client.
# https://airflow.apache.org/docs/apache-airflow-providers-amazon/stable/connections/aws.html
HOOK = {"config_kwargs": {"max_pool_connections": 32}}


def rows() -> Iterator[Row]:
    with tempfile.TemporaryDirectory(prefix="sailplane-bench-") as name:
        folder = Path(name)
        for title, (count, size) in SETS.items():
            _make(folder / title, count, size)
        with s3_server(folder / "s3") as server:
            yield from _s3_rows(server, folder)
        yield from _algorithmia_rows(folder)


def _s3_rows(server: S3Server, folder: Path) -> Iterator[Row]:
    clients, env, most = _clients(), _env(server, folder), 0.0
    for title, (count, size) in SETS.items():
        for way in ("up", "down"):
            costs = _costs(clients, env, way, folder, title, server)
            most = max(most, costs["ours"].memory)
            yield _speed(f"{title} {way}", costs, (count, "objects/s") if count > 1 else (size / 2**20, "MiB/s"))
            cpu = costs["ours"].cpu, costs["boto3"].cpu
            yield Row(f"{title} {way}, client CPU", *cpu, "s", "boto3", "at most half")
    yield Row("peak memory of the four", most, costs["boto3"].memory, "MiB", "boto3, of the last one", "at most 200")


def _speed(name: str, costs: Costs, amount: tuple[float, str]) -> Row:
    peers = {peer: cost.seconds for peer, cost in costs.items() if peer != "ours"}
    best = min(peers, key=lambda peer: peers[peer])
    left_out = "" if "rclone" in peers else "; rclone left out: not installed"
    speeds = amount[0] / costs["ours"].seconds, amount[0] / peers[best]
    return Row(name, *speeds, amount[1], f"{best}, best of {len(peers)}{left_out}", "at least 0.95 of it")


def _costs(
    clients: Mapping[str, list[str]], env: Mapping[str, str], way: str, folder: Path, title: str, server: S3Server
) -> Costs:
    """Returns the medians of some rounds. In each round every client has its turn, and another one begins."""
    runs: dict[str, list[Cost]] = defaultdict(list)
    names, expected = list(clients), verified.digests(folder / title)
    if way == "down":
        _run(clients["boto3"], env, "up", folder / title, title)
    for turn in range(ROUNDS):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            prefix = title if way == "down" else f"{name}-{turn}"
            with _place(folder / title, way) as place:
                runs[name].append(_run(clients[name], env, way, place, prefix))
                _check(f"{name} {way}", place, prefix, expected, server)
    return {name: _median(name, way, title, costs) for name, costs in runs.items()}


def _median(name: str, way: str, title: str, costs: list[Cost]) -> Cost:
    median = statistics.median
    whole = Cost(*(median(getattr(cost, what) for cost in costs) for what in ("seconds", "cpu", "memory")))
    print(f"{title} {way}, {name}: {whole}", file=sys.stderr)
    return whole


@contextmanager
def _place(source: Path, way: str) -> Iterator[Path]:
    if way == "up":
        yield source
    else:
        with tempfile.TemporaryDirectory(dir=source.parent) as target:
            yield Path(target)


def _check(who: str, place: Path, prefix: str, expected: Mapping[str, str], server: S3Server) -> None:
    """Raises unless every byte arrived, and removes the upload."""
    if who.endswith(" down"):
        verified.files(who, verified.digests(place), expected)
        return
    found = {}
    pages = server.client.get_paginator("list_objects_v2").paginate(Bucket=server.bucket, Prefix=f"{prefix}/")
    for key in [one["Key"] for page in pages for one in page.get("Contents", ())]:
        body = server.client.get_object(Bucket=server.bucket, Key=key)["Body"]
        found[key.removeprefix(f"{prefix}/")] = verified.digest(body.iter_chunks(2**22))
        server.client.delete_object(Bucket=server.bucket, Key=key)
    verified.files(who, found, expected)


def _run(client: list[str], env: Mapping[str, str], way: str, place: Path, prefix: str) -> Cost:
    os.sync()
    if client[0].endswith("rclone"):
        there = f"bench:{env['BENCH_BUCKET']}/{prefix}"
        return _timed([*client, *((str(place), there) if way == "up" else (there, str(place)))], env)
    ended = subprocess.run([*client, way, str(place), prefix], env=env, stdout=subprocess.PIPE, check=True, text=True)
    return Cost(**json.loads(ended.stdout.splitlines()[-1]))


def _timed(command: list[str], env: Mapping[str, str]) -> Cost:
    begun = time.monotonic()
    process = subprocess.Popen(command, env=env)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, command
    return Cost(time.monotonic() - begun, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


def _clients() -> dict[str, list[str]]:
    here = {"ours": "ours.py", "boto3": "boto.py", "S3Hook": "airflow_hook.py"}
    clients = {name: [sys.executable, str(CLIENTS / file)] for name, file in here.items()}
    clients["s3fs"] = [peer_python("s3fs>=2026"), str(CLIENTS / "fsspec_s3.py")]
    if rclone := shutil.which("rclone"):
        # As many transfers at once as the other clients. https://rclone.org/docs/ and https://rclone.org/s3/
        streams = ["--transfers=16", "--multi-thread-streams=8", "--multi-thread-cutoff=64M"]
        clients["rclone"] = [rclone, "copy", *streams, "--s3-chunk-size=8M", "--s3-upload-concurrency=8", "--config="]
    return clients


def _env(server: S3Server, folder: Path) -> dict[str, str]:
    access = server.access
    connection = {
        "conn_type": "aws",
        "login": access.key,
        "password": access.secret,
        "extra": {"endpoint_url": access.endpoint, "region_name": access.region, **HOOK},
    }
    rclone = {
        "TYPE": "s3",
        "PROVIDER": "Other",
        "ENDPOINT": access.endpoint,
        "ACCESS_KEY_ID": access.key,
        "SECRET_ACCESS_KEY": access.secret,
        "NO_CHECK_BUCKET": "true",
    }
    return {
        **_plain_env(folder),
        **{"BENCH_BUCKET": server.bucket, "BENCH_ENDPOINT": server.endpoint},
        **{"BENCH_KEY": str(access.key), "BENCH_SECRET": str(access.secret)},
        "AIRFLOW_CONN_AWS_DEFAULT": json.dumps(connection),
        **{f"RCLONE_CONFIG_BENCH_{name}": str(value) for name, value in rclone.items()},
    }


def _plain_env(folder: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "AWS_", "SAILPLANE"))}
    return kept | {"AIRFLOW_HOME": str(folder / "airflow"), "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR"}


def _algorithmia_rows(folder: Path) -> Iterator[Row]:
    title = "1 GiB"
    (folder / "twin").mkdir()
    with twin_server(folder / "twin") as twin:
        env = _plain_env(folder) | {"BENCH_ENDPOINT": twin.url, "BENCH_SECRET": twin.key}
        clients = {
            "ours": [sys.executable, str(CLIENTS / "algorithmia_ours.py")],
            "official": [peer_python("algorithmia==2.0.5"), str(CLIENTS / "algorithmia_official.py")],
        }
        expected = verified.digests(folder / title)
        for way in ("up", "down"):
            costs = {}
            for name, client in clients.items():
                with _place(folder / title, way) as place:
                    costs[name] = _median(name, way, "Data API", [_run(client, env, way, place, name)])
                    found = verified.digests(place) if way == "down" else _of_twin(twin, name, expected)
                    verified.files(f"Data API, {name} {way}", found, expected)
            peaks = costs["ours"].memory, costs["official"].memory
            yield Row(f"Data API, {title} {way}, memory", *peaks, "MiB", "algorithmia 2.0.5", "at most 200")


def _of_twin(twin: TwinServer, folder: str, names: Iterable[str]) -> dict[str, str]:
    """Returns the digests of the files in a Data API's folder, through its own REST interface."""
    found, headers = {}, {"Authorization": f"Simple {twin.key}"}
    for name in names:
        url = f"{twin.url}/v1/connector/data/.my/{folder}/{name}"
        with httpx.stream("GET", url, headers=headers, trust_env=False, timeout=600) as answer:
            answer.raise_for_status()
            found[name] = verified.digest(answer.iter_bytes(2**22))
    return found


def _make(folder: Path, count: int, size: int) -> None:
    folder.mkdir()
    for n in range(count):
        with (folder / f"{n:04}.bin").open("wb") as file:
            for start in range(0, size, 2**24):
                file.write(os.urandom(min(2**24, size - start)))
