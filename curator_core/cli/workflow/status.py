"""What is known of a workflow by the folder of its job."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from curator_core.cli.output import print_fields, print_table, say
from curator_core.cli.workflow.tables import TableState, tables_below
from curator_core.errors import ConfigError, CuratorError
from curator_core.slurm import is_alive, waiting_reason
from curator_core.storage.locks import is_locked
from curator_core.workflow.state import LOCK_FILE, STATE_FILE, Progress, WorkflowStatus

MAX_ERRORS = 5
"""Failed experiments listed per table; JSON has all."""


@dataclass(frozen=True)
class StepState:
    """One step, as the workflow's file has it."""

    name: str
    """Its name."""
    loop: int | None
    """Position of its loop, if it is in one."""
    iteration: int | None
    """Iteration, from 0, of a loop that is running."""
    state: str
    """``done``, ``at work``, ``failed``, ``stopped`` or ``to come``."""


@dataclass(frozen=True)
class JobState:
    """A workflow's job."""

    job_dir: Path
    """Its folder."""
    progress: Progress
    """What is written down."""
    state: str
    """``running``, ``stopped``, ``failed`` or ``done``."""
    tables: list[TableState]
    """Its tables of experiments."""

    @classmethod
    def read(cls, job_dir: Path) -> JobState:
        """What the folder says at this moment.

        Raises
        ------
        ConfigError
            It is not the folder of a job.
        """
        progress = Progress.read(job_dir)
        if progress is None:
            jobs = sorted(path.parent.name for path in job_dir.glob(f"*/{STATE_FILE}"))
            inside = f" Jobs in it: {', '.join(jobs)}." if jobs else ""
            raise ConfigError(f"{job_dir} is not the folder of a workflow's job: it has no {STATE_FILE}.{inside}")
        state: str = progress.status.value
        if progress.status is WorkflowStatus.RUNNING and not is_at_work(job_dir, progress):
            progress = Progress.read(job_dir) or progress  # it may have ended between the two
            state = "stopped" if progress.status is WorkflowStatus.RUNNING else progress.status.value
        return cls(job_dir.absolute(), progress, state, tables_below(job_dir.absolute()))

    @property
    def steps(self) -> list[StepState]:
        """All steps, in order."""
        found = []
        for position, element in enumerate(self.progress.outline):
            names = [element] if isinstance(element, str) else element
            loop = None if isinstance(element, str) else position
            is_here = position == self.progress.place.element and self.state != "done"
            iteration = self.progress.place.iteration if is_here and loop is not None else None
            found += [StepState(name, loop, iteration, self._state(position, at)) for at, name in enumerate(names)]
        return found

    def _state(self, element: int, step: int) -> str:
        place = self.progress.place
        if self.state == "done" or (element, step) < (place.element, place.step):
            return "done"
        if (element, step) > (place.element, place.step):
            return "to come"
        return "at work" if self.state == "running" else self.state

    @property
    def advice(self) -> str:
        """What to do next, in one line."""
        again = shlex.join(["curator", "workflow", "run", "FILE", "--job", self.job_dir.name])
        again += f" --rootdir {shlex.quote(os.fspath(self.job_dir.parent))}"
        if self.state == "running":
            return "wait: it is at work"
        if self.state == "failed":
            return f"mend what failed, then go on with: {again}"
        if self.state == "stopped":
            return f"it was interrupted or killed; go on with: {again}"
        if any(table.n_failed for table in self.tables):
            return f"mark failed experiments as open to evaluate them again, then: {again} --from-step STEP"
        return "nothing: all is done"

    def to_json(self) -> dict[str, object]:
        """All of it, for scripts."""
        return {
            "name": self.progress.name,
            "folder": os.fspath(self.job_dir),
            "state": self.state,
            "error": self.progress.error,
            "orchestrator": self.progress.orchestrator,
            "jobs": list(self.progress.jobs),
            "failed_steps": list(self.progress.failures),
            "steps": [
                {"name": step.name, "loop": step.loop, "iteration": step.iteration, "state": step.state}
                for step in self.steps
            ],
            "tables": [
                {
                    "folder": os.fspath(table.folder),
                    "rows": {status.value: n for status, n in table.counts.items()},
                    "waiting_to_be_collected": table.n_waiting,
                    "claimed": table.n_claimed,
                    "errors": {str(row): error for row, error in table.errors.items()},
                }
                for table in self.tables
            ],
            "next": self.advice,
        }


def is_at_work(job_dir: Path, progress: Progress) -> bool:
    """Whether a process, or a job of a cluster, goes on with a workflow; believed where the cluster cannot be asked."""
    if progress.orchestrator is None:
        return is_locked(job_dir / LOCK_FILE)
    try:
        return is_alive(progress.orchestrator)
    except CuratorError:
        return True


def print_state(found: JobState) -> None:
    """Print it for people."""
    print_fields(_fields(found))
    say()
    print_table(("step", "loop", "state"), [(step.name, _loop(step), step.state) for step in found.steps])
    for table in found.tables:
        say()
        _print_table_state(found, table)


def _fields(found: JobState) -> list[tuple[str, str]]:
    fields = [
        ("workflow", found.progress.name or "(without a name)"),
        ("folder", os.fspath(found.job_dir)),
        ("state", found.state),
    ]
    if found.progress.error is not None:
        fields.append(("error", found.progress.error))
    fields += [("error", failure) for failure in found.progress.failures]
    if found.progress.orchestrator is not None:
        jobs = f"; its step: {', '.join(found.progress.jobs)}" if found.progress.jobs else ""
        fields.append(("SLURM jobs", f"orchestrator: {found.progress.orchestrator}{jobs}"))
        fields += [("waits", f"job {job_id}: {reason}") for job_id, reason in _waiting(found.progress)]
        if found.state == "running":
            fields.append(("to end it", f"scancel {' '.join([found.progress.orchestrator, *found.progress.jobs])}"))
    return [*fields, ("next", found.advice)]


def _waiting(progress: Progress) -> Iterator[tuple[str, str]]:
    """Jobs of the step that wait, and why in SLURM's words."""
    for job_id in progress.jobs:
        with suppress(CuratorError):  # the cluster cannot be asked from here
            reason = waiting_reason(job_id)
            if reason is not None:
                yield job_id, reason


def _loop(step: StepState) -> str:
    if step.loop is None:
        return ""
    return "yes" if step.iteration is None else f"iteration {step.iteration + 1}"


def _print_table_state(found: JobState, table: TableState) -> None:
    fields = [("table", os.path.relpath(table.folder, found.job_dir)), ("rows", str(table))]
    if table.n_waiting:
        fields.append(("collected", f"all but {table.n_waiting:,} results"))
    if table.n_claimed:
        fields.append(("claimed", f"{table.n_claimed:,} by processes at work"))
    print_fields(fields)
    shown = list(table.errors.items())[:MAX_ERRORS]
    if shown:
        print_table(("row", "error"), shown)
    if len(shown) < table.n_failed:
        say(f"… and {table.n_failed - len(shown):,} more (--json lists all)")
