from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sailplane.bundles.bundle import Bundle
from sailplane.serving import server


def modules_of(name: str) -> set[str]:
    command = [sys.executable, "-c", f"import sys, {name}; print(*sys.modules)"]
    return set(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split())


@pytest.mark.slow
def test_the_server_needs_neither_torch_nor_airflow_nor_a_database() -> None:
    assert not {"torch", "airflow", "sqlalchemy", "sklearn"} & modules_of("sailplane.serving.server")


@pytest.mark.slow
def test_a_deployment_is_described_without_pandas_or_onnxruntime() -> None:
    assert not {"pandas", "onnxruntime", "torch"} & modules_of("sailplane.deployment.local.endpoint")


def test_a_damaged_bundle_opens_no_port(bundle: Bundle, tmp_path: Path) -> None:
    assert server.main(["--bundle", str(tmp_path / "nothing"), "--port", "1"]) == 1


def test_a_limit_of_a_body_that_could_never_be_held_is_refused(
    bundle: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    limits = ["--body-limit", "2000", "--in-flight-limit", "1000"]
    with pytest.raises(SystemExit) as ended:
        server.main(["--bundle", str(bundle.folder), "--port", "1", *limits])
    assert ended.value.code == 2
    assert "read --body-limit: 2000; expected at most --in-flight-limit, 1000." in capsys.readouterr().err
