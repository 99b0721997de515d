"""Rows out of the client, into a destination, exactly once. No Airflow here."""
