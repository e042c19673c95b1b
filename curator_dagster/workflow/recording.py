"""Experiments into Dagster's event log, its mirror of the workflow's tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from dagster import AssetObservation, MetadataValue, OpExecutionContext

from curator_core.workflow import Experiment, JobStatus, Reference
from curator_dagster._compat.databases import database_errors, database_reason
from curator_dagster._compat.events.asset_events import (
    DATA_VERSION_TAG,
    EventBatch,
    EventLogError,
    standing_data_versions,
)
from curator_dagster._compat.events.serialized import PathText, Value
from curator_dagster.curation.partitions import add_partitions
from curator_dagster.metadata.item import PREFIX
from curator_dagster.steps.recording import MAX_LOGGED_FAILURES
from curator_dagster.steps.run_log import RunLog
from curator_dagster.workflow.study import Study

MAX_TEXT = 1000
"""Characters of a text value that metadata keep; the table has all."""


class ExperimentRecorder:
    """Records what experiments are now: planned while they are open, then materialized or failed.

    An experiment whose values an earlier run recorded is not recorded again.

    Parameters
    ----------
    context
        Of the op that runs the workflow.
    study
        The workflow.
    """

    def __init__(self, context: OpExecutionContext, study: Study) -> None:
        self._context = context
        self._log = RunLog(context)
        self._study = study
        self._events = EventBatch(context)
        self._standing = dict(standing_data_versions(context.instance, study.experiments_key))
        self._planned: set[str] = set()
        self._versions: dict[str, str] = {}
        self._registered: set[str] = set()
        self._new: dict[str, None] = {}
        self._n_logged = 0
        self.failures: dict[str, str] = {}
        """Error by partition."""

    @property
    def versions(self) -> Mapping[str, str]:
        """Data version of every finished experiment, by partition."""
        return self._versions

    def record(self, folder: Path, experiments: Iterable[Experiment]) -> None:
        """Record experiments of the table in a folder."""
        for experiment in experiments:
            partition = self._study.partition(folder, experiment.row)
            if partition not in self._registered:
                self._new[partition] = None
            self.failures.pop(partition, None)
            self._versions.pop(partition, None)
            if experiment.status is JobStatus.FINISHED:
                self._finished(experiment, partition, folder)
                continue
            self._plan(partition)
            if experiment.status is JobStatus.ERROR:
                self._failed(experiment, partition, folder)

    def store(self) -> None:
        """Register partitions, and store what was recorded; what cannot be stored stays.

        Raises
        ------
        EventLogError
            Dagster's storage cannot be written.
        """
        if self._new:
            try:
                add_partitions(self._context.instance, self._study.name, list(self._new))
            except database_errors() as exc:
                raise EventLogError(f"Dagster's partitions cannot be written: {database_reason(exc)}") from exc
            self._registered |= self._new.keys()
            self._new.clear()
        self._events.store()

    def _plan(self, partition: str) -> None:
        if partition not in self._planned:
            self._planned.add(partition)
            self._standing.pop(partition, None)
            self._events.add_planned(self._study.experiments_key, partition)

    def _finished(self, experiment: Experiment, partition: str, folder: Path) -> None:
        self._versions[partition] = version = experiment.version
        if self._standing.get(partition) == version:
            return
        self._standing[partition] = version
        self._planned.discard(partition)
        tags = {DATA_VERSION_TAG: version}
        metadata, message = _metadata(experiment, folder), f"experiment {partition}"
        self._events.add_materialization(self._study.experiments_key, partition, metadata, tags, message)

    def _failed(self, experiment: Experiment, partition: str, folder: Path) -> None:
        failure = experiment.failure
        error = "failed, and nothing says why" if failure is None else failure.error
        traceback = "" if failure is None else failure.traceback
        self.failures[partition] = error
        metadata = _metadata(experiment, folder) | {f"{PREFIX}error": error}
        if traceback:
            metadata[f"{PREFIX}traceback"] = MetadataValue.md(f"```\n{traceback}\n```")
        key = self._study.experiments_key
        seen = AssetObservation(key, partition=partition, description=error, metadata=metadata)
        self._events.add_observation(seen, f"experiment {partition}: {error}")
        self._n_logged += 1
        if self._n_logged <= MAX_LOGGED_FAILURES:
            self._log.error("Experiment %s failed: %s\n%s", partition, error, traceback)
        elif self._n_logged == MAX_LOGGED_FAILURES + 1:
            self._log.error("More experiments failed; the errors of all are on their partitions.")


def _metadata(experiment: Experiment, folder: Path) -> dict[str, Value | MetadataValue[Any]]:
    """Metadata of an experiment: its values; numbers stay numbers, so that Dagster plots them."""
    found: dict[str, Value | MetadataValue[Any]] = {f"{PREFIX}row": experiment.row}
    for kind, values in (("input", experiment.inputs), ("output", experiment.outputs)):
        found |= {f"{PREFIX}{kind}/{name}": _shown(value, folder) for name, value in values.items()}
    return found


def _shown(value: object, folder: Path) -> Value | MetadataValue[Any]:
    if isinstance(value, Reference):
        return PathText(value.file(folder))
    if isinstance(value, bool):
        return MetadataValue.bool(value)
    if isinstance(value, int | float):
        return value
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}…"
