"""``curator demo``: real datasets, curated end to end through Dagster."""

from __future__ import annotations

from curator_dagster.cli.demo.command import demo_command

__all__ = ["demo_command"]
