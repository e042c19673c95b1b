"""Workflows as jobs of Dagster."""
