"""Turns Airflow's connections into clients of their services."""
