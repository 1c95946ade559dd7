"""The types of values that tasks pass to each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias, TypeVar

from airflow.sdk import XComArg

T = TypeVar("T")
# A record that passes through XCom: `task.output` in a DAG file, the record's JSON form when the task runs.
XComOf: TypeAlias = XComArg | Mapping[str, Any] | T
