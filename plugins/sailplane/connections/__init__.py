"""Deployment through Airflow's connections, to clusters and stores that only Airflow can reach."""
