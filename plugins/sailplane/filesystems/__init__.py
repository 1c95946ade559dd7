"""The store's backends as Airflow filesystems: `ObjectStoragePath("s3://...")`, `data://` and `hf://` in any DAG, with
the connection in the path."""
