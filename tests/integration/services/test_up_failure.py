from __future__ import annotations

from pathlib import Path

from sailplane.services.orphans import marked
from tests.platform import new_platform


def test_a_service_that_cannot_start_is_named_with_the_end_of_its_log(tmp_path: Path) -> None:
    (tmp_path / "dags").mkdir()
    platform = new_platform(tmp_path / "home", tmp_path, AIRFLOW__DATABASE__SQL_ALCHEMY_CONN="sqlite:////nowhere/a.db")
    try:
        ended = platform.sailplane("up", "--no-run")
    finally:
        platform.sailplane("down")
    assert ended.returncode == 1
    assert ended.stderr.startswith("sailplane: start api-server: it is ")
    assert "unable to open database file" in ended.stderr
    assert f"The whole log is {platform.home.logs / 'api-server.log'}" in ended.stderr
    assert marked(platform.home) == []
