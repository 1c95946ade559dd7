"""The runs of the W&B server's replacement, and their GraphQL operations."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

ENTITY = {"id": "entity-1", "name": "gliders"}
VIEWER = {
    **{"id": "user-1", "name": "Ada", "username": "ada", "email": "ada@example.com", "admin": False, "flags": "{}"},
    **{"entity": ENTITY["name"], "deletedAt": None, "apiKeys": {"edges": []}, "teams": {"edges": []}},
}
HISTORY, SUMMARY, EVENTS, OUTPUT = "wandb-history.jsonl", "wandb-summary.json", "wandb-events.jsonl", "output.log"
Operation = Callable[[Mapping[str, Any]], Mapping[str, Any]]


class Refused(Exception):
    """An operation that the server does not know, or that violates its protocol."""


@dataclass
class ServedRun:
    """The server's record of a run; `lines` are the streamed files, `files` those that are put whole."""

    id: str
    project: str
    name: str | None = None
    group: str | None = None
    job_type: str | None = None
    notes: str | None = None
    sweep: str | None = None
    state: str = "running"
    stopped: bool = False
    exit_code: int | None = None
    tags: list[str] = field(default_factory=list)
    raw_config: dict[str, Any] = field(default_factory=dict)
    lines: dict[str, list[str]] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)

    @property
    def config(self) -> dict[str, Any]:
        return {name: entry["value"] for name, entry in self.raw_config.items() if name != "_wandb"}

    @property
    def history(self) -> list[dict[str, Any]]:
        """Returns the rows by step. A later row replaces an earlier one, as at W&B, because the client may send all
        rows of a run again after the existing lines (wandb/wandb pull request 12668)."""
        rows = [json.loads(line) for line in self.lines.get(HISTORY, [])]
        return list({row["_step"]: row for row in rows}.values())

    @property
    def summary(self) -> dict[str, Any]:
        lines = self.lines.get(SUMMARY)
        return dict(json.loads(lines[-1])) if lines else {}


class Store:
    """The server's data. An operation takes a query's variables and returns the answer's `data`. Sweeps and artifacts
    have their own classes, whose operations are added to `operations`."""

    def __init__(self) -> None:
        self.url = ""
        self.runs: dict[str, ServedRun] = {}
        self.uploads: dict[str, tuple[ServedRun, str]] = {}
        self.operations: dict[str, Operation] = {
            "UpsertBucket": self._upsert_run,
            "RunResumeStatus": self._resume_status,
            "CreateRunFiles": self._create_files,
            **dict.fromkeys(("Viewer", "GetViewer"), lambda _variables: {"viewer": VIEWER}),
        }

    def run(self, project: str, run: str) -> ServedRun:
        if run not in self.runs or self.runs[run].project != project:
            raise Refused(f"run {project}/{run}: there is none; expected one of {', '.join(self.runs) or 'none'}")
        return self.runs[run]

    def stream(self, run: ServedRun, update: Mapping[str, Any]) -> None:
        """Lines from an offset on replace the existing ones, because a client without an answer sends them again."""
        for name, part in update.get("files", {}).items():
            lines, offset = run.lines.setdefault(name, []), part["offset"]
            if offset > len(lines):
                raise Refused(f"stream {run.id} {name}: offset {offset}; expected at most {len(lines)}")
            lines[offset : offset + len(part["content"])] = part["content"]
        if update.get("complete"):
            run.exit_code = update["exitcode"]
            run.state = "failed" if run.exit_code else "finished"

    def _upsert_run(self, variables: Mapping[str, Any]) -> Mapping[str, Any]:
        """Creates or changes a run, by `name` or by the `id` of an earlier answer. Null leaves a value as it is."""
        name = variables["name"] or variables["id"]
        inserted = name not in self.runs
        run = self.runs.setdefault(name, ServedRun(name, variables["project"] or "uncategorized"))
        run.state, run.exit_code = "running", None
        told = {"displayName": "name", "groupName": "group", "jobType": "job_type", "notes": "notes", "tags": "tags"}
        for variable, attribute in told.items():
            if variables[variable] is not None:
                setattr(run, attribute, variables[variable])
        run.raw_config |= json.loads(variables["config"] or "{}")
        if variables["summaryMetrics"]:
            run.lines[SUMMARY] = [variables["summaryMetrics"]]
        return {"upsertBucket": {"bucket": self._bucket(run), "inserted": inserted}}

    def _bucket(self, run: ServedRun) -> dict[str, Any]:
        return {
            "id": run.id,
            "name": run.id,
            "displayName": run.name,
            "description": run.notes,
            "notes": run.notes,
            "tags": run.tags,
            "sweepName": run.sweep,
            "project": {"id": f"project-{run.project}", "name": run.project, "entity": ENTITY},
            "config": json.dumps(run.raw_config),
            "wandbConfig": json.dumps({"t": run.raw_config.get("_wandb", {}).get("value", {}).get("t", {})}),
            "summaryMetrics": json.dumps(run.summary),
            "historyTail": json.dumps(run.lines.get(HISTORY, [])[-1:]),
            "historyLineCount": len(run.lines.get(HISTORY, [])),
            "eventsTail": json.dumps(run.lines.get(EVENTS, [])[-1:]),
            "eventsLineCount": len(run.lines.get(EVENTS, [])),
            "logLineCount": len(run.lines.get(OUTPUT, [])),
        }

    def _resume_status(self, variables: Mapping[str, Any]) -> Mapping[str, Any]:
        project, run = variables["project"], self.runs.get(variables["name"])
        bucket = self._bucket(run) if run and run.project == project else None
        return {"model": {"id": f"project-{project}", "name": project, "entity": ENTITY, "bucket": bucket}}

    def _create_files(self, variables: Mapping[str, Any]) -> Mapping[str, Any]:
        """Returns an address for each file that needs no key, as cloud stores have it."""
        run, files = self.run(variables["project"], variables["run"]), []
        for name in variables["files"]:
            token = secrets.token_hex(8)
            self.uploads[token] = run, name
            files.append({"name": name, "uploadUrl": f"{self.url}/storage/{token}"})
        return {"createRunFiles": {"runID": run.id, "uploadHeaders": [], "files": files}}
