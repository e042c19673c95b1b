"""Lines that say what a workflow is at, in this process or elsewhere: read from what it writes down."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from curator_core.cli.logs import PROGRESS_LOGGER
from curator_core.cli.workflow.status import is_at_work
from curator_core.cli.workflow.tables import TableState
from curator_core.workflow import Block, Loop, Step, Workflow
from curator_core.workflow.state import Position, Progress, WorkflowStatus

POLL_S = 1.0
"""How often a workflow elsewhere is looked at."""
ROWS_EVERY_S = 10.0
"""How often, at most, rows of the running step are counted for a line."""
ASK_EVERY_S = 10.0
"""How often the cluster is asked whether anybody goes on with a workflow."""


class Follower:
    """Gives what changed since the last look.

    Parameters
    ----------
    workflow
        The workflow, as it was run.
    job_dir
        Folder of its job.
    """

    def __init__(self, workflow: Workflow, job_dir: Path) -> None:
        self._workflow = workflow
        self._job_dir = job_dir
        self._seen: tuple[Position, WorkflowStatus] | None = None
        self._n_failures = 0
        self._rows = ""
        self._rows_due_s = 0.0
        self._log = logging.getLogger(PROGRESS_LOGGER)

    def look(self) -> Progress | None:
        """What the workflow has written down; a line for what is new in it."""
        progress = Progress.read(self._job_dir)
        if progress is None or not self._is_of_this_workflow(progress):
            return None
        now = (progress.place, progress.status)
        if now != self._seen:
            if self._seen is not None and self._seen[1] is WorkflowStatus.RUNNING:
                self._tell_end(progress, self._seen[0])
            if progress.status is WorkflowStatus.RUNNING:
                self._log.info("%s", self.described(progress))
            self._seen, self._n_failures = now, len(progress.failures)
            self._rows, self._rows_due_s = "", time.monotonic() + ROWS_EVERY_S
        elif progress.status is WorkflowStatus.RUNNING and time.monotonic() > self._rows_due_s:
            self._tell_rows(progress)
        return progress

    def wait(self) -> Progress:
        """Look until the workflow has ended, or nobody goes on with it."""
        asked_s, before = time.monotonic(), None
        while True:
            progress = self.look()
            if progress is not None and progress.status is not WorkflowStatus.RUNNING:
                return progress
            if progress is not None and time.monotonic() > asked_s + ASK_EVERY_S:
                if progress == before and not is_at_work(self._job_dir, progress):
                    return progress
                asked_s, before = time.monotonic(), progress
            time.sleep(POLL_S)

    def described(self, progress: Progress) -> str:
        """The running step, with the iteration of its loop."""
        element = self._workflow.steps[self._position(progress, progress.place)]
        step = self._step(progress, progress.place)
        if not isinstance(element, Loop):
            return f"step {step.name!r}"
        limit = f"of {'at most ' if element.until else ''}{element.n_iterations}"
        return f"step {step.name!r}, iteration {progress.place.iteration + 1} {limit}"

    def where(self) -> str:
        """The same, read anew; empty where nothing has begun."""
        progress = Progress.read(self._job_dir)
        return self.described(progress) if progress is not None and self._is_of_this_workflow(progress) else ""

    def _is_of_this_workflow(self, progress: Progress) -> bool:
        """Not so in the folder of another one, which is about to be refused."""
        outline = [
            [step.name for step in one.steps] if isinstance(one, Loop) else one.name for one in self._workflow.steps
        ]
        return progress.name == self._workflow.name and progress.outline[-len(outline) :] == outline

    def _tell_end(self, progress: Progress, place: Position) -> None:
        step = self._step(progress, place)
        if progress.status is WorkflowStatus.FAILED and progress.place == place:
            self._log.info("step %r failed: %s", step.name, progress.error)
        elif failures := progress.failures[self._n_failures :]:
            self._log.info("%s", "; ".join(failures))
        else:
            rows = self._counted(step)
            self._log.info("step %r done%s", step.name, f": {rows}" if rows else "")

    def _tell_rows(self, progress: Progress) -> None:
        rows = self._counted(self._step(progress, progress.place))
        if rows != self._rows:
            self._log.info("%s: %s", self.described(progress), rows)
        self._rows, self._rows_due_s = rows, time.monotonic() + ROWS_EVERY_S

    def _counted(self, step: Step) -> str:
        table = TableState.read(step.folder(self._job_dir)) if isinstance(step.block, Block) else None
        return str(table) if table is not None else ""

    def _step(self, progress: Progress, place: Position) -> Step:
        element = self._workflow.steps[self._position(progress, place)]
        return element.steps[place.step] if isinstance(element, Loop) else element

    def _position(self, progress: Progress, place: Position) -> int:
        """Position among the steps that are carried out, which may leave out the first ones."""
        return place.element - (len(progress.outline) - len(self._workflow.steps))


@contextlib.contextmanager
def looking(follower: Follower) -> Iterator[None]:
    """Look whenever this process logs something, which it does at every step: no thread is needed."""
    logger = logging.getLogger("curator")
    ticks = _Ticks(follower.look)
    shown = logger.level
    quieted = [(handler, _only_from(shown)) for handler in logger.handlers]
    for handler, quiet in quieted:
        handler.addFilter(quiet)
    logger.addHandler(ticks)
    logger.setLevel(min(shown, logging.INFO))
    try:
        yield
    finally:
        logger.setLevel(shown)
        logger.removeHandler(ticks)
        for handler, quiet in quieted:
            handler.removeFilter(quiet)


class _Ticks(logging.Handler):
    """Calls a function for every record of this process but those that it causes."""

    def __init__(self, call: Callable[[], object]) -> None:
        super().__init__()
        self._call = call
        self._pid = os.getpid()

    def emit(self, record: logging.LogRecord) -> None:
        """Call it."""
        if record.name != PROGRESS_LOGGER and os.getpid() == self._pid:  # workers that are forked inherit handlers
            self._call()


def _only_from(level: int) -> Callable[[logging.LogRecord], bool]:
    """Lets through what would be shown at this level, although more is logged."""
    return lambda record: record.name == PROGRESS_LOGGER or record.levelno >= level
