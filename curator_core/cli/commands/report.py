"""`curator report`: a run as one HTML page."""

from __future__ import annotations

from pathlib import Path

import click

from curator_core.cli.loading import recorded_at
from curator_core.cli.options import CuratorCommand, output_option, recorded_argument, run_option
from curator_core.cli.output import say


@click.command(
    cls=CuratorCommand,
    examples=("report atoms.yaml", "report ~/.cache/curator/0123456789abcdef.db --run 2 -o second.html"),
)
@recorded_argument
@output_option("The page to write; an older one is replaced.", default="report.html")
@run_option
def report(*, path: str, output: Path, run_id: int | None) -> None:
    """Write a page with plots of how a run went, or is going.

    Throughput, workers and memory over time, time per stage and per item, slowest and failed items. The page is one
    file that loads nothing else: mail it, print it, put it on a share. It needs the extra `report`.
    """
    # numpy and what follows are slow to load, and every command is loaded to list them.
    from curator_core.report import write_report  # noqa: PLC0415

    db_path, config_hash = recorded_at(path)
    write_report(db_path, output, run_id=run_id, config_hash=config_hash)
    say(output)
