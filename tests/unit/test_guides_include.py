"""The model author's guide, include/README.md: its blocks are run or read here, and its tables are complete. The
commands of its tutorial run in tests/end_to_end/test_tutorial.py."""

from __future__ import annotations

import importlib.util
import inspect
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from sailplane.cli import parser
from sailplane.commands import new
from sailplane.datasets.schema import fields
from sailplane.home import Home
from sailplane.operators import IngestDatasetOperator, TrainModelOperator
from sailplane.sweep_worker.command import _parser as worker_parser
from sailplane.sweeps import space, unused_settings
from sailplane.sweeps.space import parse
from sailplane.training.run import RunHandle
from tests.unit.guides import Block, anchors, blocks
from tests.unit.include.conftest import handle, prepared, scores  # noqa: F401

PROJECT = Path(__file__).parents[2]
GUIDE = PROJECT / "include" / "README.md"
TEXT = GUIDE.read_text()
BLOCKS = blocks(guides=("include/README.md",))
LANGUAGES = {"console", "python", "sh", "yaml"}
START = pd.Timestamp("2026-01-01", tz="UTC")


def only(contains: str) -> Block:
    [found] = [block for block in BLOCKS if contains in block.text]
    return found


def run_block(contains: str, **names: Any) -> dict[str, Any]:
    """Runs the Python block that contains this text. Returns its names."""
    exec(only(contains).text, names)  # noqa: S102
    return names


def of_template(name: str) -> ModuleType:
    path = new.TEMPLATE / "include" / new.PLACEHOLDER / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"template_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_block_is_of_a_kind_that_these_tests_run_or_read() -> None:
    assert {block.language for block in BLOCKS} == LANGUAGES
    python = {block.text for block in BLOCKS if block.language == "python"}
    run = {only(text).text for text in ("SCHEMA = ", "IngestDatasetOperator(", "def transform", "def train")}
    assert python == run


def test_the_schema_of_the_guide_has_all_kinds_of_columns() -> None:
    schema = run_block("SCHEMA = ")["SCHEMA"]
    assert {field.kind for field in fields(schema)} == {"timestamp", "string", "integer", "number", "boolean"}


def test_the_ingest_task_of_the_guide_reads_files_by_day() -> None:
    made = eval(only("IngestDatasetOperator(").text, {"IngestDatasetOperator": IngestDatasetOperator})  # noqa: S307
    assert "{data_interval_start:%Y-%m-%d}" in made.files


def test_the_features_of_the_guide_fit_and_transform() -> None:
    defined = run_block("def transform")
    columns = {"hours_a_week": np.array([1.0, np.nan]), "months": np.array([3, 4])}
    arrays = defined["transform"](columns, defined["fit"](columns))
    np.testing.assert_array_equal(arrays["inputs"], np.array([[3, 1], [4, 1]], "float32"))


@pytest.mark.slow
@pytest.mark.torch
def test_the_train_function_of_the_guide_trains_and_goes_on_after_a_stop(
    prepared: Callable[..., Any],  # noqa: F811
    handle: Callable[..., Any],  # noqa: F811
    scores: Callable[..., Any],  # noqa: F811
) -> None:
    data, features, model = of_template("data"), of_template("features"), of_template("model")
    train = run_block("def train", Net=model.Net, auc=model._auc)["train"]
    windows = [(START, 14), (START + pd.Timedelta(days=14), 7)]
    rows = prepared(
        features, data.SCHEMA, *(data.extract(start, start + pd.Timedelta(days=days)) for start, days in windows)
    )
    stopped = handle(stop_after=2)
    train({}, rows, stopped)
    whole, resumed = train({}, rows, handle()), train({}, rows, handle(again=stopped.folder))
    logits = scores(whole, rows.validation.features)
    assert roc_auc_score(rows.validation.target, logits) > 0.6
    assert (scores(resumed, rows.validation.features) == logits).all()


def test_the_table_of_run_has_every_public_name_with_its_parameters() -> None:
    public = {name: value for name, value in vars(RunHandle).items() if not name.startswith("_")}
    public |= dict.fromkeys(("seed", "history"))
    table = "\n".join(line for line in TEXT.splitlines() if line.startswith("| `run."))
    assert set(re.findall(r"`run\.(\w+)", table)) == set(public)
    for name, written in re.findall(r"`run\.(\w+)\(([^)]*)\)`", table):
        parameters = [one for one in inspect.signature(public[name]).parameters.values() if one.name != "self"]
        assert written == ", ".join(_declared(one) for one in parameters), name


def _declared(parameter: inspect.Parameter) -> str:
    if parameter.default is parameter.empty:
        return parameter.name
    value = f'"{parameter.default}"' if isinstance(parameter.default, str) else parameter.default
    return f"{parameter.name}={value}"


def test_the_arguments_of_the_train_step_that_the_guide_names_exist() -> None:
    assert {"processes", "precision", "stream"} <= set(inspect.signature(TrainModelOperator).parameters)
    assert all(f"`{one}" in TEXT for one in ("processes=4", 'precision="mixed"', "stream=True"))


def test_every_sweep_file_of_the_guide_is_valid() -> None:
    files = [block.text for block in BLOCKS if block.language == "yaml"]
    rest = "method: random\nparameters: {hidden: {values: [16, 32]}}\n"
    read = [parse(text if "method:" in text else rest + text) for text in files]
    assert [config.stopping.rule for config in read if config.stopping] == ["hyperband", "asha"]


def test_the_table_of_the_sweep_file_has_every_key() -> None:
    table = "\n".join(line for line in TEXT.splitlines() if line.startswith("| `"))
    ours = {f"{space.EXTENSION}: {key}" for key in ("seed", "workers", "max_time", "max_trial_time", "asha")}
    # `metrics` is W&B's list for `custom`; the other keys are listed with an ellipsis.
    keys = {*space._KEYS, *ours} - {"metrics"}
    assert {key for key in keys if f"`{key}`" not in table} == set()
    assert {"program", "command", "project", "entity", "controller"} <= set(unused_settings.UNUSED)


@pytest.mark.parametrize("line", [line for block in BLOCKS for line in block.commands])
def test_every_command_of_the_guide_can_be_called_so(line: str) -> None:
    words = shlex.split(line)
    match words:
        case ["sailplane", "airflow", *_] | ["curl", *_] | [".venv/bin/pytest", *_]:
            pass  # test_tutorial.py runs the first and last command; tests/integration/sweep_server fetches the worker.
        case ["export", setting]:
            assert setting.startswith("SAILPLANE_SWEEP_TOKEN=")
        case ["python", "worker.pyz", *arguments]:
            assert worker_parser().parse_args(arguments).train == "model.py:train"
        case ["sailplane", name, *arguments]:
            assert callable(parser(name).parse_args([name, *arguments]).command)
        case _:
            pytest.fail(f"no test knows {line}")


# A code span may continue in the next line.
INLINE = sorted(set(re.findall(r"`(sailplane [a-z-]+(?: [a-z]+)?)[` ]", " ".join(TEXT.split()))))


@pytest.mark.parametrize("words", INLINE)
def test_every_command_in_a_sentence_exists(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    _, name, *rest = words.split()
    with pytest.raises(SystemExit) as left:
        (worker_parser() if name == "sweep-worker" else parser(name)).parse_args([name, *rest[:1], "--help"])
    assert left.value.code == 0
    assert name in capsys.readouterr().out


def test_the_output_of_new_is_what_it_prints(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in new.EXPECTED:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).mkdir() if "." not in path else (tmp_path / path).touch()
    home = Home.find({"SAILPLANE_PROJECT": str(tmp_path)})
    [(command, expected)] = only("$ sailplane new").outputs
    arguments = parser("new").parse_args(shlex.split(command)[1:])
    assert arguments.command(home, arguments) == 0
    assert capsys.readouterr().out == expected


def test_the_output_of_sweep_check_is_what_it_prints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "include" / "churn" / "sweep.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(new.contents("churn")[Path("include/churn/sweep.yaml")])
    [(command, expected)] = only("$ sailplane sweep check").outputs
    arguments = parser("sweep").parse_args(shlex.split(command)[1:])
    assert arguments.command(Home.find({"SAILPLANE_PROJECT": str(tmp_path)}), arguments) == 0
    assert capsys.readouterr().out == expected


def test_every_link_of_the_guide_leads_somewhere() -> None:
    links = [link.partition("#") for link in re.findall(r"\]\(([^)]+)\)", TEXT) if "://" not in link]
    targets = {path: (GUIDE.parent / path if path else GUIDE) for path, _, _ in links}
    assert [path for path, target in targets.items() if not target.exists()] == []
    assert [title for path, _, title in links if title and title not in anchors(targets[path])] == []
