"""What waits for something in Airflow's triggerer, while no worker does."""
