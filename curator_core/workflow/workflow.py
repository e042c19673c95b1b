"""Workflows: steps and loops over experiments and datasets."""

from __future__ import annotations

import operator
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from curator_core.errors import ConfigError, UnknownNameError, WorkflowError
from curator_core.run.api import check_script
from curator_core.run.config import BackendChoice
from curator_core.slurm import SlurmCluster, SlurmResources
from curator_core.workflow.calls import check_calls
from curator_core.workflow.config import read_workflow
from curator_core.workflow.local import run_here
from curator_core.workflow.sequence import StepSequence, all_steps, outlined, steps_of
from curator_core.workflow.slurm.jobs import (
    LOCK_TIMEOUT_S,
    SlurmPlan,
    all_scripts,
    refuse_orchestrated,
    submit_workflow,
)
from curator_core.workflow.state import job_lock
from curator_core.workflow.step import Element, Loop, Step, listed_steps


@dataclass(frozen=True)
class Workflow:
    """Steps, one after the other; a workflow without any is done at once.

    Raises
    ------
    ConfigError
        A value is wrong.
    """

    name: str = ""
    """Names the workflow's jobs."""
    steps: Sequence[Element] = ()
    """Steps and loops."""
    orchestrator_resources: SlurmResources | None = None
    """What the small job gets that submits the others on SLURM."""
    _before: tuple[str | list[str], ...] = ()

    def __post_init__(self) -> None:
        name: object = self.name
        if not isinstance(name, str) or not name.isprintable():
            raise ConfigError(f"A workflow's name is a text in one line, not {name!r}.")
        object.__setattr__(self, "steps", listed_steps(self.steps, "A workflow", Step | Loop))
        resources: object = self.orchestrator_resources
        if not isinstance(resources, SlurmResources | None):
            raise ConfigError(f"orchestrator_resources must be of type SlurmResources, not {resources!r}.")

    @classmethod
    def from_yaml(cls, config: str | Path | Mapping[str, Any]) -> Workflow:
        """The workflow of a YAML file, or of the same entries as a mapping or an OmegaConf configuration.

        Raises
        ------
        ConfigError
            An entry is wrong; the message says which.
        """
        return read_workflow(config, cls).workflow

    def from_step(self, step: int | str) -> Workflow:
        """The workflow from one of its steps on.

        Parameters
        ----------
        step
            Its position, from 0, or from the end if it is negative; or its name, that of the first one if there are
            several. A name within a loop takes the whole loop.

        Raises
        ------
        UnknownNameError
            There is none of that name, a ``ValueError``, too.
        ConfigError
            There is none at that position.
        """
        at = self._position(step) if isinstance(step, str) else _index(step)
        n = len(self.steps)
        if not -n <= at < n:
            raise ConfigError(f"There is no step {at}; the workflow has {n}.")
        at %= n
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

        A job that was interrupted, or failed, resumes; with `from_step`, from there.

        Parameters
        ----------
        mode
            ``"local"``: in this process and its workers. ``"slurm"``: as jobs of a cluster; this process submits the
            first one and returns at once.
        cluster
            Where it runs on SLURM.
        project_job
            Name of the job's folder; the time by default, in a folder that nobody else has.
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
        cluster = None if cluster is None else SlurmCluster.of(cluster)
        check_calls(all_steps(self.steps))
        is_on_cluster = mode == "slurm"
        if not is_on_cluster and any(step.parallel for step in all_steps(self.steps)):
            check_script(backend, n_jobs, backend_options)
        job = project_job or claim_job(rootdir)
        job_dir = job_folder(job, rootdir)
        with _explaining_errors(job_dir):
            job_dir.mkdir(parents=True, exist_ok=True)
        with job_lock(job_dir, f"workflow {self.name!r}", timeout_s=LOCK_TIMEOUT_S if is_on_cluster else 0):
            refuse_orchestrated(job_dir, is_on_cluster=is_on_cluster)
            if cluster is not None and is_on_cluster:
                with _explaining_errors(job_dir):
                    submit_workflow(self._plan(job_dir, cluster))
            else:
                run_here(self.course, job_dir, BackendChoice(backend, n_jobs, backend_options))
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
        return all_scripts(self._plan(job_folder(project_job, rootdir), SlurmCluster.of(cluster)))

    def _plan(self, job_dir: Path, cluster: SlurmCluster) -> SlurmPlan:
        return SlurmPlan.of(self.course, job_dir, cluster, self.orchestrator_resources)

    @property
    def course(self) -> StepSequence:
        """The order of its steps."""
        return StepSequence(self.name, tuple(self.steps), self._before)

    def _position(self, name: str) -> int:
        for position, element in enumerate(self.steps):
            if any(step.name == name for step in steps_of(element)):
                return position
        raise UnknownNameError.of("step", name, [step.name for step in all_steps(self.steps)])


def _index(step: object) -> int:
    try:
        return operator.index(step)  # type: ignore[arg-type] # that is asked here
    except TypeError:
        raise ConfigError(f"A step is named by its position or its name, not by {step!r}.") from None


def claim_job(rootdir: str | Path | None) -> str:
    """Name of a new job: the time, and a folder of that name that nobody else has.

    Raises
    ------
    WorkflowError
        The folder cannot be made.
    """
    root, stamp, n = _root(rootdir), time.strftime("%Y%m%d-%H%M%S"), 1
    while True:
        name = stamp if n == 1 else f"{stamp}-{n}"
        try:
            with _explaining_errors(root / name):
                (root / name).mkdir(parents=True)
        except FileExistsError:
            n += 1
        else:
            return name


@contextmanager
def _explaining_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except FileExistsError:
        if folder.is_dir():
            raise
        raise WorkflowError(f"{folder} is no folder: give the job another name.") from None
    except OSError as exc:
        raise WorkflowError(f"The folder of the job cannot be written: {exc}. Mend that, or take another.") from exc


def job_folder(job: object, rootdir: str | Path | None) -> Path:
    """Folder of a job.

    Raises
    ------
    ConfigError
        It would not be one in the folder of jobs.
    """
    root = _root(rootdir)
    if not isinstance(job, str):
        raise ConfigError(f"project_job is a name, not {job!r}.")
    if (root / job).parent != root or not job.isprintable() or job == "..":
        raise ConfigError(f"project_job={job!r} leaves the folder of jobs.")
    return root / job


def _root(rootdir: object) -> Path:
    if not isinstance(rootdir, str | Path | None) or "://" in str(rootdir):
        raise ConfigError(f"rootdir is the path of a folder here, not {rootdir!r}.")
    try:
        return Path(rootdir or ".").expanduser().absolute()
    except RuntimeError as exc:  # no such user
        raise ConfigError(f"rootdir={rootdir!r} is no path: {exc}.") from exc
