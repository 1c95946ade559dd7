"""Sailplane: from raw data to a served, watched and retrained model, on Airflow 3."""
