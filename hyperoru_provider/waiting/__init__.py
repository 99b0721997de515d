"""Conditions, the schedule of questions, and payloads of triggers. Pure: the same for a worker and a triggerer."""
