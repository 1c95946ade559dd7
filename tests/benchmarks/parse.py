"""How long a DAG file takes to parse, over what `import airflow.sdk` takes alone."""

from __future__ import annotations

import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.benchmarks.row import Row

DAGS = Path(__file__).parents[2] / "dags"
RUNS = 7
SCRIPT = """
import time
start = time.perf_counter()
import airflow.sdk
imported = time.perf_counter()
import runpy
runpy.run_path({file!r})
print(imported - start, time.perf_counter() - imported)
"""


def rows() -> Iterator[Row]:
    for file in sorted(DAGS.glob("*.py")):
        script = SCRIPT.format(file=str(file))
        runs = [_seconds(script) for _ in range(RUNS)]
        airflow = statistics.median(run[0] for run in runs)
        parse = statistics.median(run[1] for run in runs)
        yield Row(f"parse {file.name}", parse, airflow, "s", "import airflow.sdk", "at most 0.3")


def _seconds(script: str) -> tuple[float, float]:
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    airflow, parse = done.stdout.splitlines()[-1].split()
    return float(airflow), float(parse)
