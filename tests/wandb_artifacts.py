"""The artifacts of the W&B server's replacement that only refer to files, and their GraphQL operations."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.wandb_store import ENTITY, Refused, ServedRun, Store

MANIFEST = "wandb_manifest.json"


@dataclass
class ServedArtifact:
    """A version of the collection `name`."""

    id: str
    run: ServedRun
    name: str
    kind: str
    digest: str
    metadata: dict[str, Any]
    version: int
    aliases: set[str] = field(default_factory=set)
    state: str = "PENDING"
    manifest_digest: str = ""

    @property
    def references(self) -> dict[str, str]:
        """Returns the URI of each entry in the manifest that the client put."""
        contents = json.loads(self.run.files[f"{self.id}/{MANIFEST}"])["contents"]
        return {path: entry["ref"] for path, entry in contents.items()}


class ArtifactStore(Store):
    def __init__(self) -> None:
        super().__init__()
        self.artifacts: dict[str, ServedArtifact] = {}
        self.operations |= {
            "ServerFeaturesQuery": lambda _variables: {"serverInfo": {"features": []}},
            "ArtifactType": self._artifact_type,
            "CreateArtifact": self._create_artifact,
            "CreateArtifactManifest": self._create_manifest,
            "CommitArtifact": self._commit,
            "ArtifactByID": lambda variables: {"artifact": self._told(self.artifacts[variables["id"]])},
        }

    def _artifact_type(self, variables: Mapping[str, Any]) -> Mapping[str, Any]:
        name = variables["name"].partition(":")[0]
        found = next((one for one in self.artifacts.values() if one.name == name), None)
        return {"project": {"artifact": {"artifactType": {"name": found.kind}} if found else None}}

    def _create_artifact(self, variables: Mapping[str, Any]) -> Mapping[str, Any]:
        """Creates a version. Equal content gives the existing version the new aliases."""
        asked = variables["input"]
        run = self.run(asked["projectName"], asked["runName"])
        name = asked["artifactCollectionName"]
        versions = [one for one in self.artifacts.values() if one.name == name and one.run.project == run.project]
        artifact = next((one for one in versions if one.digest == asked["digest"]), None) or ServedArtifact(
            id=secrets.token_hex(8),
            run=run,
            name=name,
            kind=asked["artifactTypeName"],
            digest=asked["digest"],
            metadata=json.loads(asked["metadata"] or "{}"),
            version=len(versions),
        )
        self.artifacts[artifact.id] = artifact
        for one in versions:
            one.aliases -= {alias["alias"] for alias in asked["aliases"]}
        artifact.aliases |= {alias["alias"] for alias in asked["aliases"]}
        latest = {"id": versions[-1].id, "versionIndex": versions[-1].version} if versions else None
        known = {"id": artifact.id, "state": artifact.state, "artifactSequence": {"latestArtifact": latest}}
        return {"createArtifact": {"artifact": {**known, "versionIndex": artifact.version}}}

    def _create_manifest(self, variables: Mapping[str, Any]) -> Mapping[str, Any]:
        """Creates a manifest. The client first announces it, then asks with its digest where to put it."""
        if variables["name"] != MANIFEST or variables["manifestType"] != "FULL":
            raise Refused(f"CreateArtifactManifest {variables}: expected a full one")
        artifact, token = self.artifacts[variables["artifactID"]], secrets.token_hex(8)
        artifact.manifest_digest = variables["digest"]
        self.uploads[token] = artifact.run, f"{artifact.id}/{MANIFEST}"
        file = {"id": token, "uploadUrl": f"{self.url}/storage/{token}", "uploadHeaders": []}
        return {"createArtifactManifest": {"artifactManifest": {"id": f"manifest-{artifact.id}", "file": file}}}

    def _commit(self, variables: Mapping[str, Any]) -> Mapping[str, Any]:
        artifact = self.artifacts[variables["artifactID"]]
        content = artifact.run.files.get(f"{artifact.id}/{MANIFEST}", b"")
        if base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode() != artifact.manifest_digest:
            raise Refused(f"CommitArtifact {artifact.name}: its manifest was not put, or another one")
        artifact.state = "COMMITTED"
        return {"commitArtifact": {"artifact": {"id": artifact.id, "digest": artifact.digest}}}

    def _told(self, artifact: ServedArtifact) -> dict[str, Any]:
        project = artifact.run.project
        place = {"id": f"project-{project}", "internalId": project, "name": project, "entity": ENTITY}
        absent = ("description", "historyStep", "commitHash", "updatedAt")
        return {
            **dict.fromkeys(absent),
            **{"__typename": "Artifact", "id": artifact.id, "state": artifact.state, "digest": artifact.digest},
            "artifactSequence": {"__typename": "ArtifactSequence", "name": artifact.name, "project": place},
            **{"versionIndex": artifact.version, "artifactType": {"name": artifact.kind}, "tags": [], "size": 0},
            **{
                "metadata": json.dumps(artifact.metadata),
                "ttlIsInherited": True,
                "ttlDurationSeconds": -2,
                "digestAlgorithm": "MANIFEST_MD5",
            },
            **{"fileCount": 0, "createdAt": "2026-01-01T00:00:00", "aliases": []},
        }
