"""curator in Dagster: a source becomes partitions, every item a materialization, a merge an asset.

The public names below are loaded on first use, so that the command line can list its commands without
importing Dagster.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from curator_core.moved import moved, names_in
from curator_dagster.missing import needing_dagster

if TYPE_CHECKING:
    from curator_dagster._compat.events.event_log import BatchedSqliteEventLogStorage as BatchedSqliteEventLogStorage
    from curator_dagster._compat.events.event_log_postgres import (
        BatchedPostgresEventLogStorage as BatchedPostgresEventLogStorage,
    )
    from curator_dagster.automation.condition import dataset_condition as dataset_condition
    from curator_dagster.checks.coverage import CoverageCheck as CoverageCheck
    from curator_dagster.checks.spec import BUILT_IN_CHECKS as BUILT_IN_CHECKS
    from curator_dagster.component.component import CurationComponent as CurationComponent
    from curator_dagster.component.workflow import WorkflowComponent as WorkflowComponent
    from curator_dagster.curation.curation import Curation as Curation
    from curator_dagster.curation.located import dataset_path as dataset_path
    from curator_dagster.curation.partitions import partition_key as partition_key
    from curator_dagster.curation.retention import prune_runs as prune_runs
    from curator_dagster.curation.settings import CurationSettings as CurationSettings
    from curator_dagster.definitions import build_curation_defs as build_curation_defs
    from curator_dagster.definitions import curation_executor as curation_executor
    from curator_dagster.executors.dask import dask_executor as dask_executor
    from curator_dagster.inputs import curation_inputs as curation_inputs
    from curator_dagster.merging import merge_definitions as merge_definitions
    from curator_dagster.resource import MetricsStoreResource as MetricsStoreResource
    from curator_dagster.translator import CurationAssetProps as CurationAssetProps
    from curator_dagster.translator import CurationTranslator as CurationTranslator
    from curator_dagster.workflow.definitions import build_workflow_defs as build_workflow_defs
    from curator_dagster.workflow.job import build_workflow_job as build_workflow_job

_HOME = {
    "BUILT_IN_CHECKS": "curator_dagster.checks.spec",
    "BatchedPostgresEventLogStorage": "curator_dagster._compat.events.event_log_postgres",
    "BatchedSqliteEventLogStorage": "curator_dagster._compat.events.event_log",
    "CoverageCheck": "curator_dagster.checks.coverage",
    "Curation": "curator_dagster.curation.curation",
    "CurationAssetProps": "curator_dagster.translator",
    "CurationComponent": "curator_dagster.component.component",
    "CurationSettings": "curator_dagster.curation.settings",
    "CurationTranslator": "curator_dagster.translator",
    "MetricsStoreResource": "curator_dagster.resource",
    "WorkflowComponent": "curator_dagster.component.workflow",
    "build_curation_defs": "curator_dagster.definitions",
    "build_workflow_defs": "curator_dagster.workflow.definitions",
    "build_workflow_job": "curator_dagster.workflow.job",
    "curation_executor": "curator_dagster.definitions",
    "dataset_condition": "curator_dagster.automation.condition",
    "curation_inputs": "curator_dagster.inputs",
    "dask_executor": "curator_dagster.executors.dask",
    "dataset_path": "curator_dagster.curation.located",
    "merge_definitions": "curator_dagster.merging",
    "partition_key": "curator_dagster.curation.partitions",
    "prune_runs": "curator_dagster.curation.retention",
}

__all__ = sorted(_HOME)  # noqa: PLE0605 - derived, so that the two cannot differ

moved(
    "curator_dagster",
    [
        ("curation", "curation blocks=partition_block partitions launch runs owners"),
        ("steps", "dataset fanout processing planning recording spool turns curation.import_paths import_paths"),
        ("automation", "automation=condition sensor"),
        ("checks", "checks=spec builtin_checks=builtin"),
        ("metadata", "metadata=item dataset_metadata=dataset"),
        ("executors", "executors=choice dask step_process"),
        ("backend", "backend backend_run=in_process"),
        ("workflow", "workflow_batches=batches workflow_folder=folder workflow_job=job workflow_ops=ops"),
        ("component", "component scaffolding"),
        ("cli", "demo init targets=locations sync follow"),
    ],
)
moved("curator_dagster", [("merge", "dataset_facts=facts")], to="curator_core")


_home_of = names_in(__name__, _HOME)


def __getattr__(name: str) -> object:
    with needing_dagster(f"curator_dagster.{name}"):
        return _home_of(name)


def __dir__() -> list[str]:
    return __all__
