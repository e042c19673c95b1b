"""Partitions of a workflow's experiments, in line with its tables."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from curator_core.errors import WorkflowError
from curator_core.workflow import TableWatch
from curator_dagster._compat.dynamic_partitions import delete_dynamic_partitions
from curator_dagster.curation.partitions import add_partitions
from curator_dagster.metadata.location import objects_defined
from curator_dagster.workflow.study import Study

if TYPE_CHECKING:
    from dagster import DagsterInstance, Definitions


def studies_in(defs: Definitions) -> dict[str, Study]:
    """Workflows by name."""
    return {name: found for name, found in objects_defined(defs, "workflow").items() if isinstance(found, Study)}


def follow_tables(
    instance: DagsterInstance, study: Study, warn: Callable[[str], None], *, prune: bool, take_over: bool
) -> tuple[list[str], list[str]]:
    """Bring the partitions in line with the tables as they are; says so where others use the name.

    Returns
    -------
    tuple[list[str], list[str]]
        Partition keys added and removed.

    Raises
    ------
    WorkflowError
        There is no experiment, and partitions are to be removed: the folder may be missing.
    """
    rows = {}
    for folder in study.folders:
        watch = TableWatch(folder)
        watch.changed()
        rows[folder] = watch.rows
    if prune and not any(rows.values()):
        raise WorkflowError(f"Workflow {study.name!r} has no experiments in {study.job_dir}: nothing is removed.")
    if take_over:
        study.owner.claim(instance)
    is_shared = study.owner.announce(instance, warn, is_pruning=prune)
    added = add_partitions(instance, study.name, list(_kept(study, rows)))
    return added, prune_partitions(instance, study, rows) if prune and not is_shared else []


def prune_partitions(instance: DagsterInstance, study: Study, rows: Mapping[Path, Collection[int]]) -> list[str]:
    """Remove the partitions of experiments that are in no table, given its rows by folder; gives their keys."""
    kept = _kept(study, rows)
    gone = [key for key in instance.get_dynamic_partitions(study.name) if key not in kept]
    delete_dynamic_partitions(instance, study.name, gone)
    return gone


def _kept(study: Study, rows: Mapping[Path, Collection[int]]) -> dict[str, None]:
    return {study.partition(folder, row): None for folder, found in rows.items() for row in found}
