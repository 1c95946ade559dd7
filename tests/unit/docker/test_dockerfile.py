from __future__ import annotations

import re
import subprocess
import sysconfig
from pathlib import Path
from typing import Any


def _copied(dockerfile: str) -> list[str]:
    copies = [line.split()[1:-1] for line in dockerfile.splitlines() if re.match(r"COPY (?!--from)", line)]
    return [source for sources in copies for source in sources]


def test_hadolint_finds_nothing(project: Path) -> None:
    hadolint = Path(sysconfig.get_path("scripts")) / "hadolint"
    found = subprocess.run(
        [hadolint, "--no-color", "--failure-threshold", "style", "docker/Dockerfile"],
        cwd=project,
        capture_output=True,
        text=True,
    )
    assert (found.returncode, found.stdout + found.stderr) == (0, "")


def test_no_rule_of_hadolint_is_ignored(project: Path, dockerfile: str) -> None:
    assert "hadolint" not in dockerfile
    assert not list(project.glob(".hadolint*"))


def test_the_image_starts_from_an_exact_tag(dockerfile: str) -> None:
    stages = re.findall(r"^FROM (\S+)(?: AS (\w+))?", dockerfile, re.M)
    outside = {image for image, _ in stages} - {name for _, name in stages}
    assert outside == {"python:3.11.14-slim-bookworm"}


def test_the_last_user_is_the_containers_own_and_not_root(dockerfile: str, ours: dict[str, Any]) -> None:
    user = re.findall(r"^USER (\S+)", dockerfile, re.M)[-1]
    assert user == "1000:1000"
    assert {service["user"] for service in ours.values()} == {user}


def test_what_is_copied_exists_and_is_let_through_to_the_build(project: Path, dockerfile: str) -> None:
    let_through = re.findall(r"^!(\S+)", (project / ".dockerignore").read_text(), re.M)
    assert _copied(dockerfile)
    for source in _copied(dockerfile):
        assert (project / source).exists(), source
        assert any(Path(source).is_relative_to(name) for name in let_through), source


def test_nothing_is_let_through_to_the_build_that_is_not_copied(project: Path, dockerfile: str) -> None:
    lines = (project / ".dockerignore").read_text().splitlines()
    assert next(line for line in lines if not line.startswith("#")) == "*"
    let_through = {line[1:] for line in lines if line.startswith("!")}
    assert let_through - set(_copied(dockerfile)) == set()


def test_every_package_is_installed_under_the_constraints(dockerfile: str) -> None:
    # A backslash continues a command on the next line.
    commands = [c for c in dockerfile.replace("\\\n", " ").splitlines() if "pip install" in c]
    assert commands
    assert all("--constraint constraints.txt" in command for command in commands)


def test_the_volume_is_the_users_home_in_the_image(dockerfile: str, ours: dict[str, Any]) -> None:
    """A new volume takes its owner from the folder that it covers."""
    for service in ours.values():
        (mount,) = service["volumes"]
        folder = mount.split(":")[1]
        assert f"--home-dir {folder}" in dockerfile
        assert f"SAILPLANE_HOME={folder}/home" in dockerfile


def test_a_health_checks_script_is_where_the_image_has_it(dockerfile: str, ours: dict[str, Any]) -> None:
    assert "COPY docker/healthy.py docker/healthy.py" in dockerfile
    for service in ours.values():
        assert service["healthcheck"]["test"][:4] == ["CMD", "python", "-IS", "docker/healthy.py"]
