"""`Study`: a workflow with its names in Dagster; its experiments are partitions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from dagster import AssetDep, AssetKey, DagsterInvalidDefinitionError, DynamicPartitionsDefinition

from curator_core import Pipeline, get_backend
from curator_core.errors import CuratorError
from curator_core.workflow import (
    ChainedBlock,
    Loop,
    LoopBlock,
    SlurmCluster,
    Workflow,
    all_steps,
    check_calls,
    job_folder,
)
from curator_dagster.curation.owners import Owner
from curator_dagster.curation.partitions import partition_key
from curator_dagster.curation.setting_checks import naming, parts_of_prefix

Prefix = str | Sequence[str] | None
"""What stands before the names of assets."""


@dataclass(frozen=True, kw_only=True)
class Study:
    """A workflow as Dagster sees it; building one reads no data."""

    name: str
    """Prefix of the assets, name of the partitions definition and of the job."""
    workflow: Workflow
    """The workflow."""
    rootdir: Path
    """Folder of jobs."""
    project_job: str
    """Name of the job's folder."""
    mode: Literal["local", "slurm"] = "local"
    """Where it runs."""
    cluster: SlurmCluster | None = None
    """The cluster of mode ``"slurm"``."""
    backend: str = "auto"
    """Run backend of parallel steps in mode ``"local"``."""
    n_jobs: int = -1
    """Its number of workers."""
    backend_options: Mapping[str, Any] = field(default_factory=dict)
    """Its options."""
    prefix: Prefix = None
    """Stands before the names of the assets."""
    prune: bool = False
    """Remove the partitions of experiments that are in no table any more."""
    deps: Sequence[AssetDep] = ()
    """Assets upstream."""
    pool: str | None = None
    """Concurrency pool of the op."""
    run_tags: Mapping[str, str] = field(default_factory=dict)
    """Tags of the runs."""

    def check(self) -> None:
        """Refuse what cannot be run.

        Raises
        ------
        DagsterInvalidDefinitionError
            A setting is wrong.
        """
        with naming(self.name, "Workflow"):
            try:
                wrong = self._wrong()
            except CuratorError as exc:
                wrong = str(exc)
            if wrong:
                raise DagsterInvalidDefinitionError(wrong)

    def _wrong(self) -> str | None:
        workflow: object = self.workflow
        if not self.name.isidentifier() or not self.name.isascii():
            return "the name must consist of letters, digits and underscores, a letter first."
        if not isinstance(workflow, Workflow):
            return f"a Workflow is needed, not {workflow!r}."
        if not self.rootdir.is_absolute():
            return f"rootdir must be an absolute path, as runs have other working folders, not {str(self.rootdir)!r}."
        if workflow.course.first() is None:
            return "it has no step."
        parts_of_prefix(self.prefix)
        check_calls(all_steps(workflow.steps))
        job_folder(self.project_job, self.rootdir)
        return self._wrong_mode()

    def _wrong_mode(self) -> str | None:
        if self.mode not in ("local", "slurm"):
            return f"mode must be 'local' or 'slurm', not {self.mode!r}."
        if self.mode == "slurm":
            if self.cluster is None or self.backend_options or (self.backend, self.n_jobs) != ("auto", -1):
                return "mode='slurm' needs a cluster, and takes no backend: steps have `resources`."
            SlurmCluster.of(self.cluster)
        elif self.backend != "auto":
            get_backend(self.backend).check_options(dict(self.backend_options))
        return None

    @cached_property
    def _prefix(self) -> list[str]:
        return parts_of_prefix(self.prefix)

    @property
    def experiments_key(self) -> AssetKey:
        """The partitioned asset: one partition per experiment."""
        return AssetKey([*self._prefix, self.name, "experiments"])

    @property
    def table_key(self) -> AssetKey:
        """The table of all experiments."""
        return AssetKey([*self._prefix, self.name, "table"])

    @property
    def job_name(self) -> str:
        """The job that runs the workflow."""
        return f"{self.name}_run"

    @property
    def partitions_def(self) -> DynamicPartitionsDefinition:
        """One partition per experiment."""
        return DynamicPartitionsDefinition(name=self.name)

    @property
    def job_dir(self) -> Path:
        """Folder of the job."""
        return job_folder(self.project_job, self.rootdir)

    @property
    def pools(self) -> list[str]:
        """Its concurrency pools: one, or none."""
        return [] if self.pool is None else [self.pool]

    @property
    def upstream_keys(self) -> set[AssetKey]:
        """Assets upstream."""
        return {dep.asset_key for dep in self.deps}

    @property
    def owner(self) -> Owner:
        """What it is to others that use its name: the folder of its job."""
        return Owner.of(self.name, f"the workflow in {self.job_dir}", f"workflow {self.job_dir}")

    @property
    def folders(self) -> list[Path]:
        """Folders that may hold a table of experiments."""
        return list(dict.fromkeys(step.folder(self.job_dir) for step in all_steps(self.workflow.steps)))

    def parts(self) -> Iterator[object]:
        """Objects of the user's own, whose modules jobs must be able to import."""
        for element in self.workflow.steps:
            if isinstance(element, Loop) and element.until is not None:
                yield element.until
        for step in all_steps(self.workflow.steps):
            yield from _parts(step.block)

    def partition(self, folder: Path, row: int) -> str:
        """Partition key of an experiment: its row, after the folder of its table where that is not the job's own."""
        inside = folder.relative_to(self.job_dir).as_posix()
        return partition_key(str(row) if inside == "." else f"{inside}/{row}")


def _parts(block: object) -> Iterator[object]:
    if isinstance(block, Pipeline):
        yield from filter(None, (block.source, *block.filters, block.sink))
    elif isinstance(block, ChainedBlock):
        for part in block.blocks:
            yield from _parts(part)
    elif isinstance(block, LoopBlock):
        yield from _parts(block.block)
    else:
        yield block
