from __future__ import annotations

from frame import BUCKET, ENDPOINT, KEY, SECRET, measured
from s3fs import S3FileSystem

files = S3FileSystem(key=KEY, secret=SECRET, endpoint_url=ENDPOINT)
measured(
    lambda folder, prefix: files.put(f"{folder}/", f"{BUCKET}/{prefix}/", recursive=True),
    lambda folder, prefix: files.get(f"{BUCKET}/{prefix}/", f"{folder}/", recursive=True),
)
