"""The image in which a SeldonDeployment runs SeldonModel."""

from __future__ import annotations

import re
import subprocess
import sysconfig
import tomllib
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def folder(project: Path) -> Path:
    return project / "docker" / "seldon"


@pytest.fixture(scope="module")
def dockerfile(folder: Path) -> str:
    return (folder / "Dockerfile").read_text()


@pytest.fixture(scope="module")
def pins(folder: Path) -> dict[str, str]:
    lines = [line for line in (folder / "requirements.txt").read_text().splitlines() if not line.startswith("#")]
    return dict(line.split("==") for line in lines)


def _copied(dockerfile: str) -> list[str]:
    return re.findall(r"^COPY (?!--from)(\S+) \S+$", dockerfile, re.M)


def test_hadolint_finds_nothing(project: Path) -> None:
    hadolint = Path(sysconfig.get_path("scripts")) / "hadolint"
    command = [hadolint, "--no-color", "--failure-threshold", "style", "docker/seldon/Dockerfile"]
    found = subprocess.run(command, cwd=project, capture_output=True, text=True)
    assert (found.returncode, found.stdout + found.stderr) == (0, "")


def test_it_starts_from_the_same_exact_tag_as_the_other_image(project: Path, dockerfile: str) -> None:
    first = [re.findall(r"^FROM (\S+)", text, re.M)[0] for text in (dockerfile, _other(project))]
    assert first == ["python:3.11.14-slim-bookworm"] * 2
    assert set(re.findall(r"^FROM (\S+)", dockerfile, re.M)) == {first[0], "python"}


def _other(project: Path) -> str:
    return (project / "docker" / "Dockerfile").read_text()


def test_the_last_user_is_not_root(dockerfile: str) -> None:
    assert re.findall(r"^USER (\S+)", dockerfile, re.M)[-1] == "1000:1000"


def test_what_is_copied_exists_and_nothing_else_is_let_through_to_the_build(
    project: Path, folder: Path, dockerfile: str
) -> None:
    ignored = (folder / "Dockerfile.dockerignore").read_text()
    assert next(line for line in ignored.splitlines() if not line.startswith("#")) == "*"
    assert set(re.findall(r"^!(\S+)", ignored, re.M)) == set(_copied(dockerfile))
    assert [source for source in _copied(dockerfile) if not (project / source).exists()] == []


def test_every_package_is_pinned_and_the_last_ones_without_a_contract_are(
    project: Path, pins: dict[str, str], dockerfile: str
) -> None:
    assert "pip install --no-deps --requirement requirements.txt" in dockerfile
    assert pins["seldon-core"] == "1.17.1"
    assert not {"apache-airflow", "torch", "alibi", "alibi-detect"} & pins.keys()
    groups = tomllib.loads((project / "pyproject.toml").read_text())["dependency-groups"]
    assert "seldon-core==1.17.1" in groups["seldon"]


def test_what_computes_and_stores_has_the_version_of_the_training(project: Path, pins: dict[str, str]) -> None:
    constraints = dict(re.findall(r"^(\S+?)==(\S+)", (project / "constraints.txt").read_text(), re.M))
    ours = ["boto3", "httpx", "httpx2", "huggingface-hub", "msgspec", "obstore", "onnxruntime", "orjson", "pandas"]
    assert {name: pins[name] for name in ours} == {name: constraints[name] for name in ours}


def test_the_command_is_the_servers_with_the_class_that_is_there(dockerfile: str) -> None:
    assert 'CMD ["seldon-core-microservice", "sailplane.serving.SeldonModel", "--service-type", "MODEL"]' in dockerfile
    assert "PYTHONPATH=/opt/sailplane" in dockerfile
    assert "COPY plugins/sailplane sailplane" in dockerfile
