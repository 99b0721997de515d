"""What users write in a DAG, checked once."""
