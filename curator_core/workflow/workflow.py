"""Workflows: steps and loops over experiments and datasets."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from curator_core.errors import ConfigError, UnknownNameError
from curator_core.run.config import Workers
from curator_core.slurm import SlurmCluster, SlurmResources
from curator_core.workflow.course import Course, all_steps, outlined, steps_of
from curator_core.workflow.local import run_here
from curator_core.workflow.progress import job_lock
from curator_core.workflow.slurm_jobs import (
    LOCK_TIMEOUT_S,
    SlurmPlan,
    all_scripts,
    refuse_orchestrated,
    submit_workflow,
)
from curator_core.workflow.step import Element


@dataclass(frozen=True)
class Workflow:
    """Steps, one after the other.

    Raises
    ------
    ConfigError
        Two steps have the same name, or there is none.
    """

    name: str = ""
    """Names the workflow's jobs."""
    steps: Sequence[Element] = ()
    """Steps and loops."""
    orchestrator_resources: SlurmResources | None = None
    """What the small job gets that submits the others on SLURM."""
    _before: tuple[str | list[str], ...] = ()

    def __post_init__(self) -> None:
        if not self.steps:
            raise ConfigError("A workflow needs a step.")
        counted = Counter(step.name for step in all_steps(self.steps))
        twice = [name for name, n in counted.items() if n > 1]
        if twice:
            raise ConfigError(f"Two steps of a workflow have the name {twice[0]!r}: give one another.")

    @classmethod
    def from_yaml(cls, config: str | Path | Mapping[str, Any]) -> Workflow:
        """The workflow of a YAML file, or of the same entries as a mapping or an OmegaConf configuration.

        Raises
        ------
        ConfigError
            An entry is wrong; the message says which.
        """
        from curator_core.workflow.workflow_config import read_workflow  # noqa: PLC0415 - it makes workflows

        return read_workflow(config).workflow

    def from_step(self, step: int | str) -> Workflow:
        """The workflow from one of its steps on.

        Parameters
        ----------
        step
            Its position or its name; a name within a loop takes the whole loop.

        Raises
        ------
        UnknownNameError
            There is none, a ``ValueError``, too.
        """
        at = step if isinstance(step, int) else self._position(step)
        if not 0 <= at < len(self.steps):
            raise ConfigError(f"There is no step {at}; the workflow has {len(self.steps)}.")
        return replace(self, steps=self.steps[at:], _before=(*self._before, *map(outlined, self.steps[:at])))

    def run(
        self,
        mode: Literal["local", "slurm"] = "local",
        cluster: SlurmCluster | None = None,
        project_job: str | None = None,
        rootdir: str | Path | None = None,
        *,
        backend: str = "auto",
        n_jobs: int = -1,
        **backend_options: Any,  # noqa: ANN401 - as `run_pipeline`
    ) -> str:
        """Carry out the workflow; the name of its job's folder.

        A job that was interrupted, or failed, goes on where it was; with `from_step`, from there.

        Parameters
        ----------
        mode
            ``"local"``: in this process and its workers. ``"slurm"``: as jobs of a cluster; this process submits the
            first one and returns at once.
        cluster
            Where it runs on SLURM.
        project_job
            Name of the job's folder; the time by default.
        rootdir
            Folder of jobs; the current one by default.
        backend, n_jobs, **backend_options
            For parallel steps in local mode, see `run_pipeline`.

        Raises
        ------
        ConfigError
            The folder belongs to another workflow, or a setting is wrong.
        SlurmError
            The scheduler refused the first job.
        WorkflowError
            The workflow runs already, or a step failed.
        """
        if mode not in ("local", "slurm"):
            raise ConfigError(f"mode must be 'local' or 'slurm', not {mode!r}.")
        if mode == "slurm" and (cluster is None or backend_options or (backend, n_jobs) != ("auto", -1)):
            raise ConfigError("mode='slurm' needs a cluster, and takes no backend: steps have `resources`.")
        job = project_job or time.strftime("%Y%m%d-%H%M%S")
        job_dir = job_folder(job, rootdir)
        job_dir.mkdir(parents=True, exist_ok=True)
        is_on_cluster = mode == "slurm"
        with job_lock(job_dir, f"workflow {self.name!r}", timeout_s=LOCK_TIMEOUT_S if is_on_cluster else 0):
            refuse_orchestrated(job_dir, is_on_cluster=is_on_cluster)
            if cluster is not None and is_on_cluster:
                submit_workflow(self._plan(job_dir, cluster))
            else:
                run_here(self.course, job_dir, Workers(backend, n_jobs, backend_options))
        return job

    def generate_scripts(
        self, cluster: SlurmCluster, project_job: str = "PLACEHOLDER", rootdir: str | Path | None = None
    ) -> dict[str, str]:
        """The scripts that `run` would submit with ``mode="slurm"``; nothing is written or submitted.

        Parameters
        ----------
        cluster
            Where they would run.
        project_job, rootdir
            As for `run`.

        Returns
        -------
        dict[str, str]
            By label: ``orchestrator``, the name of a step, ``loop<position>_<name>`` of one in a loop.
        """
        return all_scripts(self._plan(job_folder(project_job, rootdir), cluster))

    def _plan(self, job_dir: Path, cluster: SlurmCluster) -> SlurmPlan:
        return SlurmPlan.of(self.course, job_dir, cluster, self.orchestrator_resources)

    @property
    def course(self) -> Course:
        """The order of its steps."""
        return Course(self.name, tuple(self.steps), self._before)

    def _position(self, name: str) -> int:
        for position, element in enumerate(self.steps):
            if any(step.name == name for step in steps_of(element)):
                return position
        raise UnknownNameError.of("step", name, [step.name for step in all_steps(self.steps)])


def job_folder(job: str, rootdir: str | Path | None) -> Path:
    """Folder of a job.

    Raises
    ------
    ConfigError
        It would not be one in the folder of jobs.
    """
    root = Path(rootdir or ".").absolute()
    if (root / job).parent != root or not job.isprintable() or job == "..":
        raise ConfigError(f"project_job={job!r} leaves the folder of jobs.")
    return root / job
