"""Deployment through Airflow's connections: clusters and stores that only Airflow knows how to reach."""
