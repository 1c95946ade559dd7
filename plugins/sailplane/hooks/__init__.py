"""Airflow's connections as clients of the services that they name."""
