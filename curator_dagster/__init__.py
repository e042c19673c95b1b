"""curator in Dagster: a source becomes partitions, every item a materialization, a merge an asset.

The public names below are loaded on first use, so that the command line can list its commands without
importing Dagster.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from curator_core.errors import MissingDependencyError
from curator_core.moved import moved

if TYPE_CHECKING:
    from curator_dagster._compat.event_log import BatchedSqliteEventLogStorage as BatchedSqliteEventLogStorage
    from curator_dagster._compat.event_log_postgres import (
        BatchedPostgresEventLogStorage as BatchedPostgresEventLogStorage,
    )
    from curator_dagster.automation.condition import dataset_condition as dataset_condition
    from curator_dagster.checks.spec import BUILT_IN_CHECKS as BUILT_IN_CHECKS
    from curator_dagster.component.component import CurationComponent as CurationComponent
    from curator_dagster.curation.curation import Curation as Curation
    from curator_dagster.curation.partitions import partition_key as partition_key
    from curator_dagster.curation.settings import CurationSettings as CurationSettings
    from curator_dagster.definitions import build_curation_defs as build_curation_defs
    from curator_dagster.definitions import curation_executor as curation_executor
    from curator_dagster.executors.dask import dask_executor as dask_executor
    from curator_dagster.resource import MetricsStoreResource as MetricsStoreResource
    from curator_dagster.translator import CurationAssetProps as CurationAssetProps
    from curator_dagster.translator import CurationTranslator as CurationTranslator
    from curator_dagster.workflow.job import build_workflow_job as build_workflow_job

_HOME = {
    "BUILT_IN_CHECKS": "checks.spec",
    "BatchedPostgresEventLogStorage": "_compat.event_log_postgres",
    "BatchedSqliteEventLogStorage": "_compat.event_log",
    "Curation": "curation.curation",
    "CurationAssetProps": "translator",
    "CurationComponent": "component.component",
    "CurationSettings": "curation.settings",
    "CurationTranslator": "translator",
    "MetricsStoreResource": "resource",
    "build_curation_defs": "definitions",
    "build_workflow_job": "workflow.job",
    "curation_executor": "definitions",
    "dataset_condition": "automation.condition",
    "dask_executor": "executors.dask",
    "partition_key": "curation.partitions",
}

__all__ = sorted(_HOME)  # noqa: PLE0605 - derived, so that the two cannot differ

moved(
    "curator_dagster",
    [
        ("curation", "curation blocks=partition_block partitions launch runs owners import_paths"),
        ("steps", "dataset fanout processing planning recording spool turns"),
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


def __getattr__(name: str) -> object:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module 'curator_dagster' has no attribute {name!r}")
    try:
        found = getattr(import_module(f"curator_dagster.{home}"), name)
    except ModuleNotFoundError as exc:
        if (exc.name or "").partition(".")[0] != "dagster":
            raise
        raise MissingDependencyError.of("dagster", "dagster", f"curator_dagster.{name}") from exc
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return __all__
