"""Running a workflow for the command line: what it prints, how it ends."""

from __future__ import annotations

import contextlib
import logging
import shlex
import sys
import time
import traceback
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from curator_core.cli.exitcodes import ExitCode
from curator_core.cli.logs import PROGRESS_LOGGER
from curator_core.cli.output import counted, duration, one_line, say
from curator_core.cli.workflow.loading import load_workflow, step_of
from curator_core.cli.workflow.progress import Follower, looking
from curator_core.cli.workflow.tables import tables_below
from curator_core.errors import ConfigError
from curator_core.run.signals import interruptible_run
from curator_core.slurm import SlurmCluster
from curator_core.workflow import Workflow
from curator_core.workflow.config import WorkflowFile
from curator_core.workflow.state import Progress, WorkflowStatus
from curator_core.workflow.workflow import claim_job

MAX_FAILURES_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Request:
    """The command line of `curator workflow run`."""

    given: str
    mode: Literal["local", "slurm"]
    job: str | None
    rootdir: Path | None
    from_step: str | None
    n_jobs: int
    backend: str
    cluster_file: Path | None
    wait: bool
    quiet: bool

    def to_go_on(self) -> str:
        """The command line that resumes this one; a job remembers from which step it was run."""
        words = ["curator", "workflow", "run", self.given, "--job", self.job or ""]
        words += ["--mode", self.mode] if self.mode != "local" else []
        words += ["--rootdir", str(self.rootdir)] if self.rootdir is not None else []
        words += ["-j", str(self.n_jobs)] if self.n_jobs != -1 else []
        words += ["--backend", self.backend] if self.backend != "auto" else []
        words += ["--cluster", str(self.cluster_file)] if self.cluster_file is not None else []
        return shlex.join([*words, *(["--wait"] if self.wait else [])])


@dataclass(frozen=True, slots=True)
class _Job:
    """A workflow and its folder."""

    workflow: Workflow
    cluster: SlurmCluster
    rootdir: Path
    name: str

    @property
    def folder(self) -> Path:
        return self.rootdir / self.name


def execute(request: Request, *, show_traceback: bool) -> ExitCode:
    """Carry out what is requested, and print how it went."""
    if request.from_step is not None and request.job is None:
        raise ConfigError("--from-step goes on in the folder of a job: name it with --job.")
    found = load_workflow(request.given)
    workflow = found.workflow if request.from_step is None else step_of(found.workflow, request.from_step)
    rootdir = _rootdir(request.rootdir, found)
    cluster = _cluster(request.cluster_file, found)
    job = _Job(workflow, cluster, rootdir, request.job or claim_job(rootdir))
    request = replace(request, job=job.name)
    if not request.quiet:
        logging.getLogger(PROGRESS_LOGGER).setLevel(logging.INFO)
        say(f"job folder: {one_line(job.folder)}", err=True)
    try:
        with interruptible_run():
            if request.mode == "local":
                return _run_local(request, job, show_traceback=show_traceback)
            return _run_slurm(request, job)
    except KeyboardInterrupt:
        echoed = "\n" if sys.stderr.isatty() else ""  # ends the line with the terminal's ^C
        say(f"{echoed}{_interrupted(request, job)}", err=True)
        return ExitCode.INTERRUPTED


def scripts_of(given: str, *, job: str, rootdir: Path | None, cluster_file: Path | None) -> dict[str, str]:
    """The scripts that a workflow would be submitted with, by label."""
    found = load_workflow(given)
    cluster = _cluster(cluster_file, found)
    return found.workflow.generate_scripts(cluster, project_job=job, rootdir=_rootdir(rootdir, found))


def _rootdir(given: Path | None, found: WorkflowFile) -> Path:
    return given if given is not None else Path(found.rootdir or ".").expanduser()


def _cluster(file: Path | None, found: WorkflowFile) -> SlurmCluster:
    return SlurmCluster.from_yaml(file) if file is not None else found.cluster or SlurmCluster()


def _run_local(request: Request, job: _Job, *, show_traceback: bool) -> ExitCode:
    started_s = time.monotonic()
    follower = Follower(job.workflow, job.folder)
    options: dict[str, Any] = {"backend": request.backend, "n_jobs": request.n_jobs, "progress": not request.quiet}
    with contextlib.nullcontext() if request.quiet else looking(follower):
        try:
            job.workflow.run("local", job.cluster, job.name, job.rootdir, **options)
        except Exception as exc:
            if not _failed_with(exc, job.folder):
                raise
            if show_traceback:
                say("".join(traceback.format_exception(exc)).rstrip(), err=True)
        finally:
            if not request.quiet:
                follower.look()
    return _say_outcome(request, job, follower, time.monotonic() - started_s)


def _failed_with(error: Exception, job_dir: Path) -> bool:
    """Whether it is the error that a step failed with, not one from before any work."""
    progress = Progress.read(job_dir)
    return (
        progress is not None
        and progress.status is WorkflowStatus.FAILED
        and (progress.error == f"{type(error).__name__}: {error}")
    )


def _run_slurm(request: Request, job: _Job) -> ExitCode:
    started_s = time.monotonic()
    job.workflow.run("slurm", job.cluster, job.name, job.rootdir)
    if not request.wait:
        if not request.quiet:
            say(f"submitted; its folder is {one_line(job.folder)}")
            say(f"how far it is: {shlex.join(['curator', 'workflow', 'status', str(job.folder)])}")
        return ExitCode.OK
    follower = Follower(job.workflow, job.folder)
    follower.wait()
    return _say_outcome(request, job, follower, time.monotonic() - started_s)


def _say_outcome(request: Request, job: _Job, follower: Follower, seconds: float) -> ExitCode:
    """How it ended."""
    progress = Progress.read(job.folder)
    if progress is not None and progress.status is WorkflowStatus.FAILED:
        say(f"error: {follower.where()} failed: {one_line(progress.error)}", err=True)
        say(f"mend it and go on with: {request.to_go_on()}", err=True)
        return ExitCode.ITEMS_FAILED
    if progress is None or progress.status is WorkflowStatus.RUNNING:
        say(f"error: {follower.where()}: its jobs are gone, as if cancelled.", err=True)
        say(f"go on with: {request.to_go_on()}", err=True)
        return ExitCode.ITEMS_FAILED
    tables = tables_below(job.folder)
    if not request.quiet:
        say(f"Done in {duration(seconds)}. The job's folder is {one_line(job.folder)}")
        for table in tables:
            say(f"{one_line(table.folder)}: {table}")
    errors = [(table, row, error) for table in tables for row, error in table.errors.items()]
    n_failed = sum(table.n_failed for table in tables)
    if not n_failed:
        return ExitCode.OK
    say(f"error: {counted(n_failed, 'experiment')} failed:", err=True)
    for table, row, error in errors[:MAX_FAILURES_SHOWN]:
        say(f"  {one_line(table.folder)}, row {row}: {one_line(error)}", err=True)
    if n_failed > MAX_FAILURES_SHOWN:
        say(f"  and {n_failed - MAX_FAILURES_SHOWN} more", err=True)
    return ExitCode.ITEMS_FAILED


def _interrupted(request: Request, job: _Job) -> str:
    if request.mode == "slurm":
        status = shlex.join(["curator", "workflow", "status", str(job.folder)])
        return f"Interrupted: its jobs go on; how far it is: {status}"
    where = Follower(job.workflow, job.folder).where()
    return f"Interrupted{f' in {where}' if where else ''}; continue with: {request.to_go_on()}"
