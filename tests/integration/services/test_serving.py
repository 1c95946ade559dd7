from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import httpx

from sailplane.services.orphans import marked
from tests.platform import new_platform, until


def test_the_serving_service_runs_in_the_foreground_until_it_is_told_to_stop(tmp_path: Path) -> None:
    platform = new_platform(tmp_path / "home", tmp_path)
    url = f"http://127.0.0.1:{platform.home.router_port}/v2/health/live"

    def answers() -> bool | None:
        try:
            return True if httpx.get(url, trust_env=False).status_code == 200 else None
        except httpx.TransportError:
            return None

    command = [sys.executable, "-m", "sailplane.cli", "run", "serving"]
    with subprocess.Popen(command, env=dict(platform.env), cwd=tmp_path) as process:
        try:
            until(answers, 60, "the router")
        finally:
            process.terminate()
        assert process.wait(60) == 0
    assert answers() is None
    assert marked(platform.home) == []
