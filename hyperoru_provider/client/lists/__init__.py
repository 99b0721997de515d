"""Reads a list to its proved end. Pure: no I/O."""
