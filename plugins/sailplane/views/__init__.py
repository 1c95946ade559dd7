"""The pages in Airflow's UI."""
