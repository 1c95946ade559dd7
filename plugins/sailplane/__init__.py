"""Sailplane: from raw data to a served, watched and retrained model, on Airflow 3."""

__version__ = "0.1.0"
