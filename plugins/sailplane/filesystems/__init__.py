"""The store's backends as Airflow's filesystems: `ObjectStoragePath("s3://...")`, `data://` and `hf://` in any DAG,
with the connection that a path names."""
