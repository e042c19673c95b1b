"""`curator report`: a run as one HTML page."""

from __future__ import annotations

from pathlib import Path

import click

from curator_core.cli.loading import PIPELINE_SUFFIXES, existing_database, load_pipeline
from curator_core.cli.options import CuratorCommand


@click.command(
    cls=CuratorCommand,
    examples=("report atoms.yaml", "report ~/.cache/curator/0123456789abcdef.db --run 2 -o second.html"),
)
@click.argument("path", metavar="DB|PIPELINE", type=click.Path(exists=True, dir_okay=False, path_type=str))
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=str),
    default="report.html",
    show_default=True,
    help="The page to write; an older one is replaced.",
)
@click.option(
    "--run", "run_id", metavar="N", type=int, help="Number of the run in the database; the newest by default."
)
def report(*, path: str, output: str, run_id: int | None) -> None:
    """Write a page with plots of how a run went, or is going.

    Throughput, workers and memory over time, time per stage and per item, slowest and failed items. The page is one
    file that loads nothing else: mail it, print it, put it on a share. It needs the extra `report`.
    """
    # numpy and what follows are slow to load, and every command is loaded to list them.
    from curator_core.report import write_report  # noqa: PLC0415

    if path.lower().endswith(PIPELINE_SUFFIXES):
        pipeline = load_pipeline(path)
        write_report(existing_database(pipeline, path), output, run_id=run_id, config_hash=pipeline.config_hash)
    else:
        write_report(Path(path), output, run_id=run_id)
    click.echo(output)
