"""What is waited for, and when to ask. Pure: the same for a worker and a triggerer."""
