"""Uses parts of 8 MiB, ten at once: the defaults, written out. A client is thread-safe, and its pool has room for all.
https://boto3.amazonaws.com/v1/documentation/api/latest/guide/s3.html and .../guide/clients.html"""

from __future__ import annotations

from pathlib import Path

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from frame import BUCKET, ENDPOINT, KEY, SECRET, THREADS, each, files, measured

# Its own threads move the parts of large objects; our threads move small objects.
HOW = TransferConfig(multipart_threshold=8 * 2**20, multipart_chunksize=8 * 2**20, max_concurrency=10)
client = boto3.client(
    "s3",
    endpoint_url=ENDPOINT,
    region_name="us-east-1",
    aws_access_key_id=KEY,
    aws_secret_access_key=SECRET,
    config=Config(max_pool_connections=2 * THREADS),
)


def up(folder: Path, prefix: str) -> None:
    each(lambda name: client.upload_file(str(folder / name), BUCKET, f"{prefix}/{name}", Config=HOW), files(folder))


def down(folder: Path, prefix: str) -> None:
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=f"{prefix}/")
    keys = [found["Key"] for page in pages for found in page["Contents"]]
    each(lambda key: client.download_file(BUCKET, key, str(folder / Path(key).name), Config=HOW), keys)


measured(up, down)
