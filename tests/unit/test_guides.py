"""The guides are correct and complete."""

from __future__ import annotations

import argparse
import ast
import dataclasses
import importlib
import inspect
import json
import re
import tomllib
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any, Final

import pytest

from sailplane import cli, operators
from tests.unit import guides
from tests.unit.guides import GUIDES, Block

PUBLIC: Final = [getattr(operators, name) for name in operators.__all__]
EVERYTHING: Final = "\n".join(guides.text_of(guide) for guide in GUIDES)
SETTINGS: Final = "docker/README.md"
OPERATORS: Final = "dags/README.md"
CODE: Final = "\n".join(file.read_text() for file in (guides.PROJECT / "plugins").rglob("*.py"))
# Settings that the services pass to each other, and settings that only a container has.
INTERNAL: Final = {
    "SAILPLANE_PROJECT",
    "SAILPLANE_RANKS_MEET_AT",
    "SAILPLANE_SERVICE",
    "SAILPLANE_STORE_ACCESS",
    "SAILPLANE_LEDGER_FILE",
    "SAILPLANE_ROUTER_HOST",
}
# tests/unit/test_guides_include.py runs the blocks of the tutorial.
WITHOUT_TUTORIAL: Final = tuple(guide for guide in GUIDES if guide != "include/README.md")
# Names that a block of dags/README.md uses for earlier tasks.
EARLIER: Final = ("ingest", "train", "best", "evaluate")


def settings(text: str) -> set[str]:
    return set(re.findall(r"(?<!_)SAILPLANE_[A-Z0-9_]*[A-Z0-9]", text))


def test_every_setting_is_in_the_table_of_settings() -> None:
    table = {name for cell in guides.rows(guides.section(SETTINGS, "Settings")) for name in settings(cell)}
    assert table == settings(CODE) - INTERNAL


@pytest.mark.parametrize("guide", GUIDES)
def test_every_setting_that_a_guide_names_is_read_by_the_code(guide: str) -> None:
    assert settings(guides.text_of(guide)) <= settings(CODE)


def test_every_command_is_in_a_guide() -> None:
    missing = [words for words in every_command() if not re.search(rf"sailplane\s+{words}\b", EVERYTHING)]
    assert missing == []


def every_command() -> Iterator[str]:
    """Yields every command: `models`, `models list`, ..."""
    for name in cli.COMMANDS:
        yield name.replace(" ", r"\s+")
        if name not in ("airflow", "sweep-worker"):
            (named,) = [one for one in cli.parser(name)._actions if isinstance(one, argparse._SubParsersAction)]
            yield from below(named.choices[name], name)


def below(parser: argparse.ArgumentParser, words: str) -> Iterator[str]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, parsed in action.choices.items():
                yield rf"{words}\s+{name}"
                yield from below(parsed, rf"{words}\s+{name}")


@pytest.mark.parametrize("guide", GUIDES)
def test_every_command_in_a_block_of_shell_parses(guide: str) -> None:
    for command in guides.commands(guide):
        guides.parse(command, whole=True)


@pytest.mark.slow
@pytest.mark.parametrize("guide", GUIDES)
def test_every_command_that_the_prose_quotes_exists(guide: str) -> None:
    for command in guides.mentioned(guide):
        guides.parse(command, whole=False)


def test_a_command_with_an_unknown_option_is_refused() -> None:
    for wrong in ("models gc --dryrun", "modles list", "sweep frobnicate"):
        with pytest.raises(guides.Refused):
            guides.parse(wrong, whole=False)


@pytest.mark.parametrize("subject", PUBLIC, ids=lambda subject: subject.__name__)
def test_every_parameter_is_in_the_table_below_its_operator_with_its_default(subject: Callable[..., Any]) -> None:
    title = {"Gate": "The gate", "Rollout": "The rollout"}.get(subject.__name__, subject.__name__)
    table = guides.rows(guides.section(OPERATORS, title))
    expected = {name: default(subject, name) for name in inspect.signature(subject).parameters if name != "kwargs"}
    assert {name: cells[1].strip("`") for name, cells in table.items() if name in expected} == expected
    assert all(kind and meaning for name, (kind, _, meaning) in table.items())


def default(subject: Callable[..., Any], name: str) -> str:
    """Returns the default as the tables write it."""
    parameter = inspect.signature(subject).parameters[name]
    if parameter.kind is parameter.VAR_KEYWORD:
        return ""
    if parameter.default is parameter.empty:
        return "*required*"
    fields = {one.name: one for one in dataclasses.fields(subject)} if dataclasses.is_dataclass(subject) else {}
    if name in fields and fields[name].default_factory is not dataclasses.MISSING:
        return written(fields[name].default_factory())
    return written(parameter.default)


def written(value: object) -> str:
    if isinstance(value, timedelta):
        seconds = value.total_seconds()
        return f"{seconds / 3600:g} hours" if seconds >= 3600 else f"{seconds / 60:g} minutes"
    if isinstance(value, tuple):
        return f"[{', '.join(written(one) for one in value)}]"
    return json.dumps(value) if isinstance(value, str | dict) else repr(value)


@pytest.mark.parametrize("guide", GUIDES)
def test_every_link_leads_to_a_file_and_a_heading(guide: str) -> None:
    found = guides.links(guide)
    assert [str(path) for path, _ in found if not path.exists()] == []
    named = [(path, title) for path, title in found if title]
    assert [(path.parent.name, title) for path, title in named if title not in guides.anchors(path)] == []


def test_the_guides_lead_to_each_other() -> None:
    front = {path for path, _ in guides.links("README.md")}
    assert {guides.PROJECT / guide for guide in GUIDES if guide != "README.md"} <= front


@pytest.mark.parametrize("block", guides.blocks("python", guides=WITHOUT_TUTORIAL), ids=str)
def test_every_block_of_python_parses_and_imports_what_exists(block: Block) -> None:
    for node in ast.walk(ast.parse(block.text)):
        if isinstance(node, ast.Import):
            for one in node.names:
                importlib.import_module(one.name)
        elif isinstance(node, ast.ImportFrom):
            assert node.module
            module = importlib.import_module(node.module)
            assert [one.name for one in node.names if not hasattr(module, one.name)] == []


@pytest.mark.parametrize("block", guides.blocks("python", guides=(OPERATORS,)), ids=str)
def test_every_block_of_the_dag_guide_wires_tasks(block: Block) -> None:
    from airflow.sdk import DAG, task

    names = {**vars(operators), "task": task, "timedelta": timedelta}
    with DAG("guide", schedule=None, start_date=datetime(2026, 1, 1)):
        names |= earlier(block.text)
        exec(compile(block.text, str(block), "exec"), names)  # noqa: S102


def earlier(text: str) -> dict[str, Any]:
    """Returns the tasks that the block uses but does not make."""
    tree = ast.walk(ast.parse(text))
    nodes = [node for node in tree if isinstance(node, ast.Name)]
    made = {node.id for node in nodes if isinstance(node.ctx, ast.Store)}
    if not {node.id for node in nodes} & set(EARLIER):
        return {}
    paths = {"extract": "include.churn.data:extract", "schema": "include.churn.data:SCHEMA"}
    ingest = operators.IngestDatasetOperator(task_id="earlier_ingest", dataset="churn", time="at", **paths)
    train = operators.TrainModelOperator(
        task_id="earlier_train",
        model="churn",
        dataset=ingest.output,
        features="include.churn.features",
        train="include.churn.model:train",
    )
    best = operators.sweep(train, "include/churn/sweep.yaml", group_id="earlier_sweep")
    judge = operators.EvaluateModelOperator(task_id="earlier_evaluate", challenger=best, baseline=train.output)
    return {name: value for name, value in zip(EARLIER, (ingest, train, best, judge), strict=True) if name not in made}


def test_the_dag_of_the_readme_has_the_stages_in_their_order() -> None:
    (block,) = guides.blocks("python", guides=("README.md",))
    names: dict[str, Any] = {}
    exec(compile(block.text, str(block), "exec"), names)  # noqa: S102
    dag = names["churn"]()
    assert dag.dag_id == "churn"
    assert dag.get_task("train").upstream_task_ids == {"ingest"}
    assert "sweep.best" in dag.get_task("evaluate").upstream_task_ids
    assert dag.get_task("deploy").upstream_task_ids == {"evaluate"}


def test_every_error_of_the_troubleshooting_table_is_raised_with_these_words() -> None:
    raised = re.findall(r'(?:[Ee]rror|no_room|_failure)\(\s*"([^"]+)"(?:,\s*f?"([^"{]*))?', CODE)
    sentences = [f"{failed} {which}" for failed, which in raised]
    listed = guides.rows(guides.section("docker/README.md", "Troubleshooting"))
    unknown = [
        words
        for words in listed
        if not any(f"{sentence} ".startswith(f"{words} ") for sentence in sentences)
        and not (" " in words and words in CODE)
    ]
    assert len(listed) >= 25
    assert unknown == []


def test_every_metric_of_a_model_server_is_in_the_table_of_metrics() -> None:
    from sailplane.serving.metrics import Metrics

    # A counter without labels appears only after its first count.
    text = Metrics("churn", "0123", lambda: 0).text().decode()
    counted = {name.removesuffix("_created") for name in re.findall(r"^# TYPE (sailplane_\w+)", text, re.M)}
    listed = {name for cell in metric_cells() for name in re.findall(r"sailplane_\w+", cell)}
    assert counted - {f"{name}_{part}" for name in listed for part in ("low", "high", "squares")} == listed


def metric_cells() -> list[str]:
    return list(guides.rows(guides.section("docker/README.md", "Monitoring")))


def test_every_room_is_in_the_table_of_rooms_above_the_rooms_that_it_imports() -> None:
    listed = [name.strip("/") for name in guides.rows(guides.section("plugins/README.md", "Rooms"))]
    folders = {file.parent.name for file in (guides.PROJECT / "plugins/sailplane").glob("*/__init__.py")}
    assert sorted(listed) == sorted(folders)
    order = [room for layer in layers() for room in layer]
    assert [order.index(room) for room in listed if room in order] == sorted(
        order.index(room) for room in listed if room in order
    )


def layers() -> list[list[str]]:
    """Returns the layers of import-linter, the highest first, with each layer's rooms as the table has them."""
    contracts = tomllib.loads((guides.PROJECT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (contract,) = [one for one in contracts if one["type"] == "layers"]
    return [[room.partition(".")[0] for room in layer.split(" | ")] for layer in contract["layers"]]


def test_every_file_that_the_guide_of_contributors_names_exists() -> None:
    code, project = guides.PROJECT / "plugins/sailplane", guides.PROJECT
    named = set(re.findall(r"`([\w/]+(?:\.py|/))`", guides.prose("plugins/README.md"))) - {"utils/"}
    elsewhere = [guides.PROJECT / "plugins", project]
    assert [path for path in named if not any((root / path).exists() for root in (code, *elsewhere))] == []


def test_every_make_target_of_the_guides_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (guides.PROJECT / "Makefile").read_text(), re.M))
    called = {name for guide in GUIDES for name in re.findall(r"(?:^|`)make ([a-z]+)\b", guides.text_of(guide), re.M)}
    assert called <= targets
    assert {"up", "down", "test", "fast", "bench", "soak"} <= called
