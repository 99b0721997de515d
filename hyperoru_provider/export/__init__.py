"""Rows out of the client, onto a landing, exactly once. No Airflow here."""
