"""`max_concurrency` is its default, parts of a file at once; `batch_size` files at once, as the other clients' threads.
https://s3fs.readthedocs.io/en/latest/api.html
"""

from __future__ import annotations

from frame import BUCKET, ENDPOINT, KEY, SECRET, THREADS, measured
from s3fs import S3FileSystem

files = S3FileSystem(key=KEY, secret=SECRET, endpoint_url=ENDPOINT)
measured(
    lambda folder, prefix: files.put(f"{folder}/", f"{BUCKET}/{prefix}/", recursive=True, batch_size=THREADS),
    lambda folder, prefix: files.get(f"{BUCKET}/{prefix}/", f"{folder}/", recursive=True, batch_size=THREADS),
)
