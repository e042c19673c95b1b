"""`curator plan`: what a run would process, and why."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from curator_core.cli.database import waiting_results
from curator_core.cli.loading import latest_database, load_pipeline
from curator_core.cli.options import CuratorCommand, database_option, json_option, pipeline_argument
from curator_core.cli.output import counted, one_line, print_json, print_table, say
from curator_core.pipeline.pipeline import Pipeline
from curator_core.session.plan import Plan, PlannedItem


@click.command(cls=CuratorCommand, examples=("plan atoms.yaml", "plan atoms.yaml --all --limit 0"))
@pipeline_argument
@click.option("--all", "show_all", is_flag=True, help="List the items that are up to date, too.")
@click.option(
    "--limit",
    metavar="N",
    type=int,
    default=50,
    show_default=True,
    help="List at most N items; 0 for all. JSON always has all.",
)
@database_option
@json_option
def plan(*, path: str, show_all: bool, limit: int, db_file: str | None, as_json: bool) -> None:
    """Show what a run would process, and why.

    The run is `curator run PIPELINE --resume`. The source is listed, but no item is read and nothing is written.
    The reasons: new, failed (it failed last
    time), changed (the item is not what it was), moved (its content was recorded under another key), outputs
    missing, config changed (processed under another configuration only).
    """
    pipeline = load_pipeline(path, db_file=db_file).with_settings(resume=True)
    planned = pipeline.plan()
    shown = planned.items if show_all else planned.due
    if as_json:
        print_json(_as_data(pipeline, planned, shown))
        return
    _print_totals(planned)
    for note in [*_notes(pipeline, path), *_notes_of_sink(pipeline)]:
        say(note)
    if shown:
        say()
        listed = shown[:limit] if limit > 0 else shown
        print_table(("index", "key", "reason", "detail"), [(i.index, i.key, i.reason, i.detail) for i in listed])
        if len(listed) < len(shown):
            say(f"… and {len(shown) - len(listed):,} more (--limit 0 lists all)")


def _as_data(pipeline: Pipeline[Any], planned: Plan, shown: Sequence[PlannedItem]) -> dict[str, object]:
    return {
        "database": os.fspath(pipeline.db_path) if pipeline.db_path is not None else None,
        "total": len(planned.items),
        "due": len(planned.due),
        "counts": planned.counts(),
        "vanished": planned.vanished,
        "notes": _notes_of_sink(pipeline),
        "items": [
            {
                "index": item.index,
                "key": item.key,
                "reason": item.reason,
                "detail": item.detail,
                "fingerprint": item.fingerprint,
                "recorded_fingerprint": item.recorded_fingerprint,
            }
            for item in shown
        ],
    }


def _print_totals(planned: Plan) -> None:
    n_due = len(planned.due)
    if not planned.items:
        say("Nothing to do: the source lists no items.")
    elif not n_due:
        say(f"Nothing to do: {counted(len(planned.items), 'item')} up to date.")
    else:
        counts = ", ".join(f"{n:,} {reason}" for reason, n in planned.counts().items())
        say(f"{n_due:,} of {counted(len(planned.items), 'item')} would be processed ({counts}).")
    if planned.vanished:
        n_vanished = counted(len(planned.vanished), "recorded item")
        say(f"{n_vanished} no longer in the source, such as {one_line(planned.vanished[0])!r}.")


def _notes_of_sink(pipeline: Pipeline[Any]) -> list[str]:
    return [] if pipeline.sink is None else pipeline.sink.notes()


def _notes(pipeline: Pipeline[Any], path: str) -> list[str]:
    """What would otherwise surprise."""
    if pipeline.db_path is None:
        return ["Every run processes all items: the pipeline records nothing (track_metrics: false)."]
    if pipeline.db_path.exists():
        n_waiting = len(waiting_results(pipeline.db_path, pipeline.config_hash))
        if n_waiting:
            return [
                f"Not counted: {counted(n_waiting, 'result')} of a run in progress, or stopped; a run takes them over."
            ]
        return []
    earlier: Path | None = latest_database(pipeline)
    if earlier is None:
        return []
    again = shlex.join(["curator", "run", path, "--resume", "--db", str(earlier)])
    return [f"An earlier run without --resume is not counted. To go on from it: {again}"]
