"""What is drawn in Airflow's UI."""
