"""An array whose tasks work, as its coordinator follows it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import islice

from curator_core.errors import CuratorError
from curator_core.records import IndexResult, Item
from curator_core.run.backends.slurm.array import ArrayFolder, ResultTail
from curator_core.slurm import ArrayState, array_states, array_usage, cancel, find_job, submit


class WatchedArray:
    """An array whose tasks may still work.

    Parameters
    ----------
    folder
        Its files.
    job_id
        SLURM's number of it; ``None`` where SLURM knows nothing of it.
    """

    def __init__(self, folder: ArrayFolder, job_id: str | None) -> None:
        self.folder = folder
        self.job_id = job_id
        self.is_due = False
        """Whether it is still to be submitted."""
        self.open = set(range(len(folder.tasks)))
        """Tasks that are not known to be over."""
        self._tails = [ResultTail(folder.results_path(task)) for task in range(len(folder.tasks))]

    @property
    def has_begun(self) -> bool:
        """Whether any of its tasks has begun."""
        return any(self.folder.presence(task) is not None for task in range(len(self.folder.tasks)))

    def submit(self, *options: str) -> None:
        """Submit its script, unless SLURM took it when it was tried before.

        Raises
        ------
        SlurmAwayError
            The scheduler does not answer; it may have taken it.
        SlurmError
            The scheduler refused it.
        """
        was_tried, self.is_due = self.is_due, True
        taken = find_job(self.folder.comment) if was_tried else None
        self.job_id = taken or submit(self.folder.script_path, *options)
        self.folder.submitted(self.job_id)
        self.is_due = False

    def new(self) -> Iterable[IndexResult]:
        """Results that came since the last call."""
        for tail in self._tails:
            yield from tail.new()

    def has_damaged_results(self, task: int) -> bool:
        """Whether a task handed back something that cannot be read."""
        return self._tails[task].has_damage

    def left(self, task: int) -> Iterator[Item]:
        """What a task has still to do, as far as its results were read; it keeps to its order."""
        return islice(self.folder.items(task), self._tails[task].n_lines, None)

    def states(self) -> dict[int, ArrayState]:
        """States of its tasks, where SLURM still knows them, or the cluster's accounts do.

        Raises
        ------
        SlurmError
            The scheduler does not answer.
        """
        if self.job_id is None:
            return {}
        states = array_states(self.job_id)
        if self.open - states.keys():  # forgotten some minutes after their end
            with suppress(CuratorError):  # where no account is kept, or none can be asked for
                used = array_usage(self.job_id) or {}
                states = {task: found.state for task, found in used.items() if found.state.is_over} | states
        return states

    def alive(self) -> set[int]:
        """Tasks that wait or run.

        Raises
        ------
        SlurmError
            The scheduler does not answer.
        """
        return {task for task, state in self.states().items() if not state.is_over}

    def ended(self, states: dict[int, ArrayState]) -> dict[int, ArrayState | None]:
        """Tasks that are over since the last call; the state is ``None`` where SLURM has forgotten it."""
        if self.is_due:
            return {}
        found = {task: states.get(task) for task in self.open}
        over = {task: state for task, state in found.items() if state is None or state.is_over}
        self.open -= set(over)
        return over

    def cancel(self, tasks: set[int]) -> None:
        """End these tasks.

        Raises
        ------
        SlurmError
            The scheduler does not answer.
        """
        if self.job_id is None:
            return
        if tasks == self.open:
            cancel(self.job_id)
        elif tasks:
            cancel(*(f"{self.job_id}_{task}" for task in sorted(tasks)))
