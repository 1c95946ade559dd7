"""The time to parse a DAG file, beyond `import airflow.sdk` alone."""

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
parsed = time.perf_counter()
import gc
[dag] = [one for one in gc.get_objects() if isinstance(one, airflow.sdk.DAG)]
print(dag.dag_id, imported - start, parsed - imported)
"""


def rows() -> Iterator[Row]:
    for file in sorted(DAGS.glob("*.py")):
        runs = [_seconds(file) for _ in range(RUNS)]
        airflow = statistics.median(run[0] for run in runs)
        parse = statistics.median(run[1] for run in runs)
        yield Row(f"parse {file.name}", parse, airflow, "s", "import airflow.sdk", "at most 0.3")


def _seconds(file: Path) -> tuple[float, float]:
    script = SCRIPT.format(file=str(file))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    dag, airflow, parse = done.stdout.splitlines()[-1].split()
    assert dag == file.stem, f"{file.name} made the DAG {dag}"
    return float(airflow), float(parse)
