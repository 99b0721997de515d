"""Triggers: deferred waiting, in the triggerer's event loop."""
