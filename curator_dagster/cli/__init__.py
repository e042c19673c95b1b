"""Commands of `curator` that need Dagster."""
