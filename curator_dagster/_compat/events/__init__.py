"""Dagster's event log: events as it serializes them, many of them stored at a time."""
