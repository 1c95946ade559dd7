-- Run once, when the database's volume is new. Airflow's database is made by the image (POSTGRES_DB).
CREATE DATABASE ledger;
