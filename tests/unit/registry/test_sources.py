from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path

import pytest

from sailplane.errors import ModelError
from sailplane.registry.sources import MOST_BYTES, Sources, collect, unpack

FILES = {
    "include/churn/model.py": "import torch\nfrom include.shared.layers import Layer\n",
    "include/churn/features.py": "TARGET = 'left'\n",
    "include/churn/sweep.yaml": "method: grid\n",
    "include/churn/sub/more.py": "from . import data\n",
    "include/churn/rows.parquet": "data",
    "include/churn/large.json": " " * (MOST_BYTES + 1),
    "include/churn/large.py": "#" * (MOST_BYTES + 1),
    "include/churn/.hidden.py": "",
    "include/churn/__pycache__/model.py": "",
    "include/churn/broken.py": "def (",
    "include/shared/layers.py": "import include.deep.inner\n",
    "include/deep/inner.py": "import docker\n",
    "include/other/model.py": "",
    "docker/healthy.py": "",
    "single.py": "",
    "dags/churn.py": "",
}
CHURN = {"model.py", "features.py", "sweep.yaml", "sub/more.py", "large.py", "broken.py"}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return make(tmp_path / "project")


def make(folder: Path) -> Path:
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def names(sources: Sources) -> set[str]:
    return set(zipfile.ZipFile(io.BytesIO(sources.archive)).namelist())


def test_the_folder_of_the_code_paths_is_archived_with_those_that_it_imports(project: Path) -> None:
    found = names(collect(project, ["include.churn.features", "include.churn.model:train", ""]))
    ours = {f"include/churn/{name}" for name in CHURN}
    assert found == {*ours, "include/shared/layers.py", "include/deep/inner.py"}


def test_equal_sources_give_equal_bytes_and_a_changed_line_gives_others(project: Path, tmp_path: Path) -> None:
    first = collect(project, ["include.churn.model:train"])
    again = make(tmp_path / "elsewhere")
    for file in again.rglob("*.py"):
        os.utime(file, (1, 1))
    assert collect(again, ["include.churn.model:train"]) == first
    (again / "include/shared/layers.py").write_text("import torch\n")
    assert collect(again, ["include.churn.model:train"]).digest != first.digest


def test_a_module_of_the_project_itself_is_its_file_and_one_of_a_package_is_none(project: Path) -> None:
    assert names(collect(project, ["single:train"])) == {"single.py"}
    assert names(collect(project, ["sklearn.linear_model:LogisticRegression"])) == set()


def test_what_was_archived_is_unpacked_as_it_was_and_nothing_else_is(project: Path, tmp_path: Path) -> None:
    sources = collect(project, ["include.churn.model:train"])
    unpack(sources.archive, sources.digest, tmp_path / "again")
    assert collect(tmp_path / "again", ["include.churn.model:train"]) == sources
    with pytest.raises(ModelError, match=r"unpack code .* expected|unpack code .*: digest"):
        unpack(sources.archive + b" ", sources.digest, tmp_path / "never")
    assert not (tmp_path / "never").exists()
