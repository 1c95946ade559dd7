"""The types of values that one task hands to the next."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias, TypeVar

from airflow.sdk import XComArg

T = TypeVar("T")
# A record on its way through XCom: `task.output` in a DAG file, and the record's JSON form once the task runs.
XComOf: TypeAlias = XComArg | Mapping[str, Any] | T
