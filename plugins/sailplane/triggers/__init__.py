"""Triggers, which wait in Airflow's triggerer without occupying a worker."""
