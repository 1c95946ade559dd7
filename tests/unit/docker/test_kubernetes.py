from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.kubernetes.kinds import find
from tests.unit.deployment.kubernetes.conftest import check

PLURALS = {
    "Namespace": "namespaces",
    "Role": "roles",
    "RoleBinding": "rolebindings",
    "ServiceAccount": "serviceaccounts",
}


@pytest.fixture(scope="module")
def folder(project: Path) -> Path:
    return project / "docker" / "kubernetes"


def documents(folder: Path) -> list[dict[str, Any]]:
    """Returns the documents in the order of the kustomization."""
    listed = yaml.safe_load((folder / "kustomization.yaml").read_text())["resources"]
    return [one for name in listed for one in yaml.safe_load_all((folder / name).read_text())]


def test_every_file_is_part_of_the_kustomization(folder: Path) -> None:
    listed = yaml.safe_load((folder / "kustomization.yaml").read_text())["resources"]
    assert {*listed, "kustomization.yaml"} == {path.name for path in folder.iterdir()}


def test_everything_lies_in_the_one_namespace(folder: Path) -> None:
    for one in documents(folder):
        group, _, version = one["apiVersion"].rpartition("/")
        kind = find(group, PLURALS[one["kind"]])
        assert kind, one["kind"]
        assert kind.version == version
        assert one["metadata"].get("namespace") == ("models" if kind.namespaced else None)


def test_the_role_is_bound_to_the_account(folder: Path) -> None:
    found = {one["kind"]: one for one in documents(folder)}
    binding = found["RoleBinding"]
    assert binding["roleRef"]["name"] == found["Role"]["metadata"]["name"]
    (subject,) = binding["subjects"]
    assert subject == {
        "kind": "ServiceAccount",
        "name": found["ServiceAccount"]["metadata"]["name"],
        "namespace": "models",
    }


def test_nobody_may_do_everything(folder: Path) -> None:
    (role,) = [one for one in documents(folder) if one["kind"] == "Role"]
    assert "*" not in yaml.safe_dump(role)
    assert not any("secrets" in rule["resources"] for rule in role["rules"])


def test_the_objects_of_the_readme_are_ones_that_the_cluster_takes(project: Path) -> None:
    readme = (project / "docker" / "README.md").read_text()
    shown = [yaml.safe_load_all(block) for block in re.findall(r"```yaml\n(apiVersion.*?)```", readme, re.S)]
    objects = [one for block in shown for one in block]
    assert [one["kind"] for one in objects] == ["SeldonDeployment", "Model", "Experiment"]
    for one in objects:
        check(one)
