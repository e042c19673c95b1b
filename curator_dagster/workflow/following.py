"""A workflow that runs, here or on SLURM, followed by an op: what it writes down becomes events of Dagster."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from threading import Event

from dagster import DagsterExecutionInterruptedError, OpExecutionContext

from curator_core.errors import CuratorError, StoreBusyError, WorkflowError
from curator_core.storage import exclusive_lock, make_folder
from curator_core.workflow import (
    Position,
    Progress,
    TableWatch,
    WorkflowStatus,
    cancel_workflow,
    follow_workflow,
    orchestrating_job,
)
from curator_dagster._compat.events.asset_events import EventLogError
from curator_dagster._compat.interrupts import is_terminated
from curator_dagster.steps.import_paths import make_importable
from curator_dagster.steps.processing import backend_interrupts, logging_to_run
from curator_dagster.steps.run_log import RunLog
from curator_dagster.workflow.recording import ExperimentRecorder
from curator_dagster.workflow.study import Study

LOCK_FILE = ".curator-dagster-lock"
LOCK_TIMEOUT_S = 10.0
"""How long a run waits for one before it, whose process may be ending, seconds."""
LOOK_S = 1.0
"""Between two looks at the tables, at least, seconds."""
LOOKING_SHARE = 0.1
"""Largest share of the time that looks may take."""


class Follower:
    """Looks at the tables of a workflow, and records what changed.

    Parameters
    ----------
    context
        Of the op.
    study
        The workflow.
    """

    def __init__(self, context: OpExecutionContext, study: Study) -> None:
        self._log = RunLog(context)
        self._study = study
        self._watches = {folder: TableWatch(folder) for folder in study.folders}
        self._due_s = 0.0
        self._said: tuple[Position, WorkflowStatus] | None = None
        self.recorder = ExperimentRecorder(context, study)

    @property
    def rows(self) -> dict[Path, list[int]]:
        """Numbers of the experiments at the last look, by folder of their table."""
        return {folder: rows for folder, watch in self._watches.items() if (rows := watch.rows)}

    def look(self) -> None:
        """Record what changed since the last look.

        Raises
        ------
        EventLogError
            Dagster's storage cannot be written; the next look tries again.
        """
        began = time.monotonic()
        for folder, watch in self._watches.items():
            self.recorder.record(folder, watch.changed())
        self.recorder.store()
        now = time.monotonic()
        self._due_s = now + max(LOOK_S, (now - began) / LOOKING_SHARE)

    def look_if_due(self) -> None:
        """Look, unless the last look was a moment ago; what cannot be stored waits for the next one."""
        if time.monotonic() < self._due_s:
            return
        try:
            self.look()
        except EventLogError as exc:
            self._due_s = time.monotonic() + LOOK_S / LOOKING_SHARE
            self._log.warning("%s. Trying again later.", exc)

    def say(self, progress: Progress) -> None:
        """A line in the run's log for a step that begins."""
        now = (progress.place, progress.status)
        if progress.status is WorkflowStatus.RUNNING and now != self._said:
            step, iteration = self._study.workflow.course.step(progress.place).name, progress.place.iteration + 1
            self._log.info("step %r, iteration %d", step, iteration)
        self._said = now

    @contextmanager
    def looking(self) -> Iterator[None]:
        """Look meanwhile, in a thread, and once more at the end, however it ends."""
        is_over = Event()

        def look() -> None:
            while not is_over.wait(LOOK_S):
                self.look_if_due()

        with ThreadPoolExecutor(1, "curator-follower") as thread, self.looking_last():
            looks = thread.submit(look)
            try:
                yield
            finally:
                is_over.set()
                wait([looks])
            looks.result()

    @contextmanager
    def looking_last(self) -> Iterator[None]:
        """Look once more at the end, however it ends."""
        try:
            yield
        except BaseException:
            try:
                self.look()
            except CuratorError as exc:
                self._log.warning("%s. The next run records what is missing.", exc)
            raise
        self.look()


@contextmanager
def sole_follower(context: OpExecutionContext, study: Study) -> Iterator[None]:
    """One run of Dagster at a time is at a workflow.

    Raises
    ------
    WorkflowError
        Another one is.
    """
    folder = study.job_dir
    make_folder(folder)
    lock = exclusive_lock(folder / LOCK_FILE, timeout_s=LOCK_TIMEOUT_S, holder=f"run {context.run_id} of Dagster")
    try:
        lock.__enter__()
    except StoreBusyError as exc:
        raise WorkflowError(f"Another run follows the workflow of {folder} already: {exc}. Wait for its end.") from exc
    try:
        yield
    finally:
        lock.__exit__(None, None, None)


def run_here(context: OpExecutionContext, study: Study, follower: Follower) -> None:
    """Run a workflow in this process and its workers; a job that was interrupted resumes."""
    make_importable(study.parts())
    with logging_to_run(context), follower.looking(), backend_interrupts():
        workers = {"backend": study.backend, "n_jobs": study.n_jobs, **study.backend_options}
        study.workflow.run("local", None, study.project_job, study.rootdir, **workers)


def run_on_slurm(context: OpExecutionContext, study: Study, follower: Follower) -> None:
    """Follow a workflow on SLURM to its end, submitted here if nobody goes on with it.

    Its jobs are cancelled when the run is terminated; whatever else ends the run leaves them to the next one.
    """
    make_importable(study.parts())
    with logging_to_run(context), follower.looking_last():
        try:
            progress = Progress.read(study.job_dir)
            job_id = None if progress is None else orchestrating_job(study.job_dir, progress)
            if job_id is None:
                study.workflow.run("slurm", study.cluster, study.project_job, study.rootdir)
            else:
                context.log.info("SLURM's job %s goes on with the workflow; this run follows it.", job_id)
            for found in follow_workflow(study.job_dir):
                follower.say(found)
                follower.look_if_due()
        except DagsterExecutionInterruptedError:
            if is_terminated(context):
                _cancel(context, study)
            raise


def _cancel(context: OpExecutionContext, study: Study) -> None:
    try:
        jobs = cancel_workflow(study.job_dir)
    except CuratorError as exc:
        context.log.error("The workflow's jobs on SLURM are not cancelled: %s", exc)  # noqa: TRY400 - it says all
    else:
        context.log.info("Cancelled on SLURM: %s. The next run resumes the workflow.", ", ".join(jobs) or "nothing")
