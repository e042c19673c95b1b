"""``curator sync``: partition keys from the command line, which Dagster's own cannot create."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from curator_core.cli import CuratorCommand, print_table
from curator_dagster.missing import needing_dagster

if TYPE_CHECKING:
    from dagster import DagsterInstance

    from curator_dagster.curation.curation import Curation
    from curator_dagster.workflow.study import Study

Changed = tuple[list[str], list[str]]
"""Partition keys added and removed."""


@click.command(
    "sync",
    cls=CuratorCommand,
    examples=("sync -m my_project.definitions", "sync -f definitions.py molecules --prune"),
)
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option("-m", "--module-name", "module", metavar="MODULE", help="Module with the Dagster definitions.")
@click.option(
    "-f",
    "--python-file",
    "file",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Python file with the Dagster definitions.",
)
@click.option("-a", "--attribute", metavar="NAME", help="The definitions in it, when there are several.")
@click.option(
    "--prune", is_flag=True, help="Remove the partitions of what the source no longer lists, or no table has."
)
@click.option("--take-over", is_flag=True, help="What else had the same name is gone: its partitions are this one's.")
def sync_command(
    *,
    names: Sequence[str],
    module: str | None,
    file: Path | None,
    attribute: str | None,
    prune: bool,
    take_over: bool,
) -> None:
    """Register the items of curations, and the experiments of workflows, as partitions in Dagster.

    Lists the sources of all curations in the definitions, and reads the tables of all workflows, or of those named,
    and adds a partition for every item and experiment to the Dagster instance of $DAGSTER_HOME. Nothing is processed.
    Their jobs do the same.
    """
    if (module is None) == (file is None):
        raise click.UsageError("Say where the definitions are: -m MODULE or -f FILE.", click.get_current_context())
    with needing_dagster("curator sync"):  # listing the commands does not load it
        from curator_dagster.cli.locations import chosen, configured_instance, load_followed  # noqa: PLC0415
        from curator_dagster.curation.curation import Curation  # noqa: PLC0415
        from curator_dagster.curation.resources import set_up  # noqa: PLC0415

    definitions, named = load_followed(module=module, file=file, attribute=attribute)
    rows = []
    with configured_instance() as instance:
        for declared in chosen(named, names):
            if isinstance(declared, Curation):
                asset = partial(definitions.resolve_assets_def, declared.samples_key)
                with set_up(declared, asset, instance) as curation:
                    changed = _sync(instance, curation, prune=prune, take_over=take_over)
            else:
                changed = _sync_workflow(instance, declared, prune=prune, take_over=take_over)
            n_partitions = len(instance.get_dynamic_partitions(declared.name))
            rows.append((declared.name, *map(len, changed), n_partitions))
    print_table(("curation", "added", "removed", "partitions"), rows)


def _sync(instance: DagsterInstance, curation: Curation, *, prune: bool, take_over: bool) -> Changed:
    from curator_dagster.curation.owners import Owner, follow_partitions  # noqa: PLC0415 - as above

    pipeline = curation.open_pipeline()
    plan = pipeline.plan(curation.list_source(pipeline))
    if take_over:
        Owner.of_curation(curation, pipeline).claim(instance)
    return follow_partitions(instance, replace(curation, prune=prune), pipeline, plan, _warn)


def _sync_workflow(instance: DagsterInstance, study: Study, *, prune: bool, take_over: bool) -> Changed:
    from curator_dagster.workflow.partitions import follow_tables  # noqa: PLC0415 - as above

    return follow_tables(instance, study, _warn, prune=prune, take_over=take_over)


def _warn(text: str) -> None:
    click.echo(text, err=True)
