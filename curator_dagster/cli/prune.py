"""``curator dagster prune``: old runs and what they left."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import click

from curator_core.cli import Age, CuratorCommand, counted, is_attended, print_table, say, size
from curator_dagster.missing import needing_dagster

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dagster import DagsterInstance

    from curator_dagster.curation.retention import OldRun


@click.command(
    "prune",
    cls=CuratorCommand,
    examples=("dagster prune --older-than 30d", "dagster prune --older-than 4w --keep 20 --yes"),
)
@click.option("--older-than", metavar="AGE", type=Age(), help="Those that ended so long ago, such as 12h, 30d, 4w.")
@click.option("--keep", metavar="N", type=click.IntRange(min=0), help="Never the N newest runs of a job.")
@click.option("--all-jobs", "of_all_jobs", is_flag=True, help="Also runs that belong to no curation.")
@click.option("-y", "--yes", is_flag=True, help="Remove without asking.")
def prune_command(*, older_than: timedelta | None, keep: int | None, of_all_jobs: bool, yes: bool) -> None:
    """Remove old runs from the Dagster instance of $DAGSTER_HOME.

    Their records, events and files go. What is known of assets and partitions stays: all of them show as before, and
    no refresh does anything again. Runs to which a partition owes that it shows as failed stay as well.
    """
    if older_than is None and keep is None:
        raise click.UsageError("Say what to remove: --older-than 30d, --keep 20, or both.", click.get_current_context())
    with needing_dagster("curator dagster prune"):  # listing the commands does not load it
        from curator_dagster.cli.locations import configured_instance  # noqa: PLC0415
        from curator_dagster.curation.retention import old_runs  # noqa: PLC0415

    with configured_instance() as instance:
        doomed = old_runs(instance, older_than=older_than, keep=keep or 0, of_all_jobs=of_all_jobs)
        if doomed:
            print_table(("job", "runs", "oldest", "newest"), _rows(doomed))
            say()
        if not yes and not is_attended():
            say(f"Nothing was removed: {counted(len(doomed), 'run')} would be. Add --yes to remove them.")
        elif yes or click.confirm(f"Remove {counted(len(doomed), 'run')}?"):
            _remove(instance, doomed)
        else:
            say("Nothing was removed.")


def _rows(doomed: Sequence[OldRun]) -> list[tuple[object, ...]]:
    by_job: dict[str, list[OldRun]] = {}
    for run in doomed:
        by_job.setdefault(run.job, []).append(run)
    return [(job, len(runs), *(f"{end:%Y-%m-%d}" for end in _ends(runs))) for job, runs in sorted(by_job.items())]


def _ends(runs: Sequence[OldRun]) -> tuple[object, object]:
    ends = [run.ended.astimezone() for run in runs]
    return min(ends), max(ends)


def _remove(instance: DagsterInstance, doomed: Sequence[OldRun]) -> None:
    from curator_dagster._compat.events.retention import shrink  # noqa: PLC0415 - as above
    from curator_dagster.curation.retention import delete_leftovers, delete_runs  # noqa: PLC0415

    freed = delete_runs(instance, [run.run_id for run in doomed]) + delete_leftovers(instance)
    say(f"Removed {counted(len(doomed), 'run')} and {size(freed)} in files.")
    for path in shrink(instance):
        say(f"{path} is in use: it does not get smaller now, and what is written next goes into its free room.")
