"""Targets of `serve run` and `serve deploy`."""
