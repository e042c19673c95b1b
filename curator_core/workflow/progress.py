"""How far a workflow is, in the folder of its job."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Self

from curator_core.atomic import exclusive_lock, publish_text
from curator_core.errors import ConfigError, StoreBusyError, WorkflowError

STATE_FILE = "workflow.json"
LOCK_FILE = ".curator-workflow-lock"
Outline = list[str | list[str]]
"""Names of the steps; those of a loop in a list of their own."""


class WorkflowStatus(StrEnum):
    """What became of a workflow."""

    RUNNING = "running"
    FAILED = "failed"
    DONE = "done"


@dataclass(frozen=True)
class Place:
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
    place: Place
    """What comes next, or is at work."""
    status: WorkflowStatus
    """What became of it."""
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
            found = json.loads(path.read_text(encoding="utf-8"))
            place, status = Place(**found.pop("place")), WorkflowStatus(found.pop("status"))
            lists = {name: tuple(found.get(name, ())) for name in ("jobs", "failures")}
            return cls(**found | lists | {"place": place, "status": status})
        except FileNotFoundError:
            return None
        except (ValueError, TypeError, KeyError, AttributeError) as exc:
            raise ConfigError(f"{path} does not tell how far a workflow is ({exc}): take another folder.") from exc

    def write(self, job_dir: Path) -> None:
        """Write it down, whole or not at all."""
        path = job_dir / STATE_FILE
        publish_text(json.dumps(asdict(self), indent=1), path)

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

    def at(self, place: Place | None) -> Self:
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
