"""How far a workflow is, in the folder of its job."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

from curator_core.errors import ConfigError, StoreBusyError, WorkflowError
from curator_core.storage.atomic import publish_text
from curator_core.storage.disk import reason
from curator_core.storage.locks import exclusive_lock

STATE_FILE = "workflow.json"
LOCK_FILE = ".curator-workflow-lock"
Outline = list[str | list[str]]
"""Names of the steps; those of a loop in a list of their own."""


class WorkflowStatus(StrEnum):
    """How far a workflow is."""

    RUNNING = "running"
    FAILED = "failed"
    DONE = "done"


@dataclass(frozen=True)
class Position:
    """A step within a workflow, and the iteration of its loop."""

    element: int = 0
    """Position of the step, or of its loop."""
    iteration: int = 0
    """Iteration of the loop, from 0."""
    step: int = 0
    """Position within the loop."""


@dataclass(frozen=True)
class Progress:
    """What is written down after every step."""

    name: str
    """The workflow's name."""
    outline: Outline
    """Its steps."""
    place: Position
    """What comes next, or is running."""
    status: WorkflowStatus
    """How far it is."""
    error: str | None = None
    """Why it failed."""
    attempt: str = ""
    """Identifies this execution of the step; the same until it is over, through kills and restarts."""
    orchestrator: str | None = None
    """On SLURM, the number of the job that goes on with it."""
    n_deaths: int = 0
    """How often in succession that job has died at its work."""
    jobs: tuple[str, ...] = ()
    """Numbers of the step's jobs, for which the orchestrator waits."""
    is_anew: bool = False
    """Whether its user has just started it again: what was cancelled before is no reason to fail."""
    failures: tuple[str, ...] = ()
    """Errors of steps that failed and on which nothing depends."""

    @classmethod
    def read(cls, job_dir: Path) -> Self | None:
        """What is written down in a job's folder, if anything.

        Raises
        ------
        ConfigError
            The file is not of a workflow.
        """
        path = job_dir / STATE_FILE
        try:
            return cls(**_checked(json.loads(path.read_text(encoding="utf-8"))))
        except FileNotFoundError:
            return None
        except (OSError, RecursionError, ValueError, TypeError, KeyError) as exc:
            raise ConfigError(
                f"{path} does not tell how far a workflow is ({type(exc).__name__}: {exc}): take another folder; or "
                "remove the file, and the workflow begins anew with the table that is there."
            ) from exc

    def write(self, job_dir: Path) -> None:
        """Write it down, whole or not at all.

        Raises
        ------
        WorkflowError
            The disk is full, or the folder cannot be written.
        """
        path = job_dir / STATE_FILE
        try:
            publish_text(json.dumps(asdict(self), indent=1), path)
        except OSError as exc:
            raise WorkflowError(
                f"How far the workflow is cannot be written to {path}: {reason(exc)}. Mend that, and run it again: "
                "it goes on."
            ) from exc

    @staticmethod
    def restore(before: Progress | None, job_dir: Path) -> None:
        """Write what was there before, or nothing."""
        if before is None:
            (job_dir / STATE_FILE).unlink()
        else:
            before.write(job_dir)

    def check_same(self, name: str, outline: Outline, job_dir: Path) -> None:
        """Refuse the folder of another workflow.

        Raises
        ------
        ConfigError
            Its name or its steps differ.
        """
        if self.name != name:
            raise ConfigError(f"{job_dir} belongs to the workflow {self.name!r}, not to {name!r}: take another folder.")
        if self.outline != outline:
            raise ConfigError(
                f"{job_dir} belongs to a workflow with the steps {self.outline}, not {outline}: "
                "give the steps their names and order back, or take another folder."
            )

    def at(self, place: Position | None) -> Self:
        """The same at another place, or further at this one; done at ``None``."""
        if place is None:
            return replace(self, status=WorkflowStatus.DONE, error=None, attempt="", orchestrator=None, jobs=())
        attempt = self.attempt if place == self.place else ""
        return replace(
            self, place=place, status=WorkflowStatus.RUNNING, error=None, attempt=attempt or uuid.uuid4().hex
        )

    def failed(self, error: BaseException) -> Self:
        """The same after its step failed: the next run attempts it anew."""
        said = f"{type(error).__name__}: {error}"
        return replace(self, status=WorkflowStatus.FAILED, error=said, attempt="", orchestrator=None, jobs=())

    def failed_alone(self, step: str, error: BaseException) -> Self:
        """The same after a step failed on which nothing depends."""
        iteration = f", iteration {self.place.iteration + 1}" if self.place.iteration else ""
        said = f"step {step!r}{iteration} failed: {type(error).__name__}: {error}"
        return replace(self, failures=(*self.failures, said))


_JOB = re.compile("[0-9]+")
_ATTEMPT = re.compile("[0-9a-f]*")


def _checked(found: dict[str, Any]) -> dict[str, Any]:
    """What a file says, each of its kind: job numbers become arguments of commands, attempts names of folders."""
    place = Position(**found["place"])
    outline = found["outline"]
    lists = {name: tuple(found.get(name, ())) for name in ("jobs", "failures")}
    status = WorkflowStatus(found["status"])
    texts = [found["name"], found.get("error") or "", *lists["failures"]]
    jobs = [*lists["jobs"], *filter(None, [found.get("orchestrator")])]
    for names in outline:
        texts += names if isinstance(names, list) else [names]
    counts = [place.element, place.iteration, place.step, found.get("n_deaths", 0)]
    here = [outline[place.element]] if place.element < len(outline) else []
    is_in_outline = place.step < sum(len(names) if isinstance(names, list) else 1 for names in here)
    if (
        not all(isinstance(text, str) for text in texts)
        or not all(isinstance(job, str) and _JOB.fullmatch(job) for job in jobs)
        or not all(type(count) is int and count >= 0 for count in counts)
        or not _ATTEMPT.fullmatch(found.get("attempt", ""))
        or not (is_in_outline or status is WorkflowStatus.DONE)
    ):
        raise ValueError("an entry is of another kind, or names a step that is not there")
    return found | lists | {"place": place, "status": status}


@contextmanager
def job_lock(job_dir: Path, holder: str, *, timeout_s: float = 0) -> Iterator[None]:
    """Hold the lock of a job's folder: one process at a time goes on with its workflow.

    Raises
    ------
    WorkflowError
        Another process holds it.
    """
    with ExitStack() as stack:
        try:
            stack.enter_context(exclusive_lock(job_dir / LOCK_FILE, timeout_s=timeout_s, holder=holder))
        except StoreBusyError as exc:
            raise WorkflowError(f"The workflow of {job_dir} runs already: {exc}") from exc
        yield
