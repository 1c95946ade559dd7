"""Everything that a DAG or a train function uses documents its parameters, its result and its errors."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Callable
from typing import Any

import pytest

from sailplane import errors, operators
from sailplane.operators.sweep import CreateSweepOperator
from sailplane.operators.trials import BestTrialOperator, SweepWorkerOperator
from sailplane.training.arrays import Split
from sailplane.training.batches import Batch
from sailplane.training.data import Data
from sailplane.training.run import RunHandle

# The tasks of the task group that `sweep` makes.
TASKS_OF_SWEEP = (CreateSweepOperator, SweepWorkerOperator, BestTrialOperator)
PUBLIC = [getattr(operators, name) for name in operators.__all__]
HANDLE = [value for name, value in vars(RunHandle).items() if inspect.isfunction(value) and not name.startswith("_")]
RECORDS = [Data, Split, Batch]
# The base class calls execute with it; the DAG's author does not pass it.
NOT_DECLARED = {"self", "kwargs"}
# A function for DAGs whose errors are raised by an operator.
RAISES_NOTHING = {operators.trigger_form}


def named(subject: Callable[..., Any]) -> str:
    return subject.__qualname__


def parameters(subject: Callable[..., Any]) -> list[str]:
    return [name for name in inspect.signature(subject).parameters if name not in NOT_DECLARED]


def documented(subject: Callable[..., Any], field: str) -> list[str]:
    return re.findall(rf"^\s*:{field} ?([\w]*):", inspect.getdoc(subject) or "", re.M)


def example(subject: Callable[..., Any]) -> str:
    """Returns the block after `Example::`."""
    found = re.search(r"^Example::\n\n((?: {4}.*\n?|\n)+)", inspect.getdoc(subject) or "", re.M)
    return textwrap.dedent(found.group(1)) if found else ""


@pytest.mark.parametrize("subject", [*PUBLIC, *TASKS_OF_SWEEP, *HANDLE, *RECORDS], ids=named)
def test_the_docstring_explains_each_parameter_once_and_no_other(subject: Callable[..., Any]) -> None:
    assert documented(subject, "param") == parameters(subject)


@pytest.mark.parametrize("subject", [*PUBLIC, *TASKS_OF_SWEEP], ids=named)
def test_the_docstring_says_what_a_task_returns(subject: Callable[..., Any]) -> None:
    if not inspect.isclass(subject) or hasattr(subject, "execute"):
        assert documented(subject, "returns") == [""]


@pytest.mark.parametrize("subject", HANDLE, ids=named)
def test_the_docstring_says_what_a_method_of_the_run_returns(subject: Callable[..., Any]) -> None:
    gives = inspect.signature(subject).return_annotation != "None"
    assert bool(documented(subject, "returns")) == gives


@pytest.mark.parametrize("subject", [*PUBLIC, *TASKS_OF_SWEEP], ids=named)
def test_the_docstring_names_the_errors_that_are_raised(subject: Callable[..., Any]) -> None:
    raised = documented(subject, "raises")
    assert all(issubclass(getattr(errors, name), errors.SailplaneError) for name in raised)
    assert bool(raised) == (subject not in RAISES_NOTHING)


@pytest.mark.parametrize("subject", HANDLE, ids=named)
def test_the_docstring_of_a_method_that_raises_names_the_error(subject: Callable[..., Any]) -> None:
    """The methods that call functions which raise: see training/early_stopping.py and checkpoints.py."""
    expected = {"epochs": ["ConfigurationError", "TrainingError"], "checkpoint": ["TrainingError"]}
    assert documented(subject, "raises") == expected.get(subject.__name__, [])


@pytest.mark.parametrize("subject", PUBLIC, ids=named)
def test_the_docstring_has_an_example_that_calls_it_as_it_is_declared(subject: Callable[..., Any]) -> None:
    tree = ast.parse(example(subject))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    (call,) = [one for one in calls if isinstance(one.func, ast.Name) and one.func.id == subject.__name__]
    given = {keyword.arg for keyword in call.keywords} - {"task_id"}
    open_ended = "where" in parameters(subject)
    assert open_ended or given <= set(parameters(subject))
