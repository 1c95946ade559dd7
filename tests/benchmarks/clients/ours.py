from __future__ import annotations

from frame import BUCKET, ENDPOINT, KEY, SECRET, measured

from sailplane.storage import Access, Storage

store = Storage(f"s3://{BUCKET}", lambda: Access(endpoint=ENDPOINT, region="us-east-1", key=KEY, secret=SECRET))
measured(lambda folder, prefix: store.upload(folder, prefix), lambda folder, prefix: store.download(prefix, folder))
