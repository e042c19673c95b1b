"""Job arrays of a SLURM cluster."""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections import Counter
from collections.abc import Container, Generator, Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar

from curator_core.errors import ArrayUnfinishedError, ConfigError, CuratorError, TaskEndedError, WorkerDiedError
from curator_core.pipeline import Pipeline
from curator_core.records import IndexResult, Item
from curator_core.run.base import RunBackend
from curator_core.run.chunks import failed_result
from curator_core.run.config import RunConfig
from curator_core.run.interrupts import released
from curator_core.run.slurm_array import ArrayFolder, ResultTail, TaskSetup, array_script, log_path
from curator_core.run.worker import Group, serialized
from curator_core.slurm import (
    ArrayState,
    SlurmCluster,
    SlurmResources,
    array_states,
    cancel,
    find_job,
    import_paths,
    submit,
    waiting_reason,
)

LOOK_S = 0.5
"""Time between two looks at the tasks' files, seconds."""
ASK_S = (2.0, 30.0)
"""Time between two questions to the scheduler, seconds: at first, and in a long run."""
USUAL_REASONS = ("None", "Resources", "Priority", "JobArrayTaskLimit", "BeginTime")
"""Why tasks wait on any cluster; others may keep them waiting for ever."""
MAX_ATTEMPTS = 2
"""How often an item is tried whose task dies with it."""

logger = logging.getLogger("curator")


class SlurmBackend(RunBackend):
    """The indices as one job array; this process submits it, waits for results and records them.

    A run that is killed or interrupted leaves its array alone: the next one takes over what the tasks did and
    waits for what they still do.
    """

    name: ClassVar[str] = "slurm"
    description: ClassVar[str] = "A job array on a SLURM cluster."
    options: ClassVar[tuple[str, ...]] = (
        "cluster",
        "resources",
        "cancel_on_interrupt",
        "timeout",
        "wait",
        "job_name",
    )

    def __init__(self) -> None:
        self._finished: list[ArrayFolder] = []

    def stream(self, pipeline: Pipeline[Any], config: RunConfig) -> Generator[IndexResult, None, None]:
        """Yield results as tasks hand them back."""
        coordinator = _Coordinator(pipeline, config, finished=self._finished)
        try:
            if config.backend_options.get("wait", True):
                yield from coordinator.results()
            else:
                yield from coordinator.results_so_far()
        except KeyboardInterrupt:
            coordinator.interrupted(is_cancelling=bool(config.backend_options.get("cancel_on_interrupt")))
            yield from coordinator.new_results()
            raise
        self._finished += coordinator.arrays

    def recorded(self) -> None:
        """All results are in the metrics database: the arrays' files are not needed any more."""
        for array in self._finished:
            shutil.rmtree(array.path)
        self._finished = []


class _Watched:
    """An array whose tasks may still work."""

    def __init__(self, folder: ArrayFolder, job_id: str | None) -> None:
        self.folder = folder
        self.job_id = job_id
        self.open = set(range(len(folder.tasks)))
        """Tasks that are not known to be over."""
        self._tails = [ResultTail(folder.results_path(task)) for task in range(len(folder.tasks))]

    @property
    def has_begun(self) -> bool:
        """Whether any of its tasks has begun."""
        return any(self.folder.presence(task) is not None for task in range(len(self.folder.tasks)))

    def new(self) -> Iterable[IndexResult]:
        """Results that came since the last call."""
        for tail in self._tails:
            yield from tail.new()

    def ended(self) -> dict[int, ArrayState | None]:
        """Tasks that are over since the last call; the state is ``None`` where SLURM has forgotten it."""
        states = array_states(self.job_id) if self.job_id is not None else {}
        found = {task: states.get(task) for task in self.open}
        over = {task: state for task, state in found.items() if state is None or state.is_over}
        self.open -= set(over)
        return over


class _Coordinator:
    """Submits arrays and follows them until every item has a result."""

    def __init__(self, pipeline: Pipeline[Any], config: RunConfig, finished: Sequence[ArrayFolder]) -> None:
        if config.journals is None:
            raise ConfigError("The backend 'slurm' hands results over through the metrics database: turn tracking on.")
        journals, self._config_hash = config.journals
        self._parent = journals.absolute().with_suffix(".slurm")  # tasks may have another working folder
        self._config = config
        options = config.backend_options
        self._cluster = SlurmCluster.of(options.get("cluster"))
        self._resources = SlurmResources.of(options.get("resources"))
        self._job_name = str(options.get("job_name", "curator"))
        payload = serialized(pipeline, to="a SLURM task")
        self._setup = TaskSetup(payload, config.timeout, import_paths())
        self._missing = {item.index: item for item in config.items}
        self._attempts: Counter[int] = Counter()
        self._failed_starts: set[str] = set()
        self._told: set[tuple[str, str]] = set()
        self._watched = self._found({array.path for array in finished})

    @property
    def arrays(self) -> list[ArrayFolder]:
        """All arrays of this run, those it found included."""
        return [watched.folder for watched in self._watched]

    def _found(self, finished: Container[Path]) -> list[_Watched]:
        """Arrays that a run before this one left; they are ended where everything is to be processed anew."""
        arrays = [found for found in ArrayFolder.of(self._parent, self._config_hash) if found.path not in finished]
        watched = [_Watched(array, array.job_id or find_job(array.comment)) for array in arrays]
        if self._config.resumes:
            return watched
        for array in watched:
            if array.job_id is not None:
                cancel(array.job_id)
            shutil.rmtree(array.folder.path)
        return []

    def results(self) -> Generator[IndexResult, None, None]:
        """What comes, until nothing is missing."""
        for watched in self._watched:
            watched.ended()
        yield from self.new_results()  # after that: what a task did until its end is not submitted again
        self._submit(self._unassigned(self._config.item_groups()))
        self._config.board.open()
        began = asked = time.monotonic()
        pause = threading.Event()
        while self._missing:
            with released():
                pause.wait(LOOK_S)
            yield from self.new_results()
            now = time.monotonic()
            if now - asked > min(ASK_S[1], max(ASK_S[0], 0.05 * (now - began))):
                asked = now
                yield from self._follow_up()

    def results_so_far(self) -> Generator[IndexResult, None, None]:
        """What there is by now. As nothing is remembered from one call to the next, all ends are judged again.

        Raises
        ------
        ArrayUnfinishedError
            Something is missing, and tasks are at it.
        """
        for watched in self._watched:
            if watched.folder.is_given_up or watched.job_id is None:  # its ends are told, or it never was submitted
                watched.ended()
        yield from self._judged()
        self._submit(self._unassigned(self._config.item_groups()))
        if self._missing:
            jobs = tuple(self._running())
            raise ArrayUnfinishedError(f"{len(self._missing)} items are left to SLURM's jobs {', '.join(jobs)}.", jobs)

    def new_results(self) -> Generator[IndexResult, None, None]:
        """Results that tasks have handed back since the last call."""
        for watched in self._watched:
            for result in watched.new():
                if self._is_missing(Item(result.index, result.key, result.fingerprint)):
                    del self._missing[result.index]
                    self._failed_starts.clear()
                    yield result
            for task in watched.open:
                presence = watched.folder.presence(task)
                if presence is not None:
                    self._config.board.post(presence)

    def interrupted(self, *, is_cancelling: bool) -> None:
        """Cancel the arrays, or say that they go on."""
        if is_cancelling:
            self.cancel()
            return
        for job_id in self._running():
            logger.warning(
                "Array %s goes on; the same run later takes over its results. To end it: scancel %s", job_id, job_id
            )

    def cancel(self) -> None:
        """End all arrays."""
        for job_id in self._running():
            cancel(job_id)

    def _running(self) -> list[str]:
        return [watched.job_id for watched in self._watched if watched.open and watched.job_id is not None]

    def _follow_up(self) -> Generator[IndexResult, None, None]:
        """See which tasks are over; items that they left are tried again, or fail."""
        yield from self._judged()
        self._tell_why_it_waits()

    def _judged(self) -> Generator[IndexResult, None, None]:
        """What came, and what is to be said of tasks that are over; what nobody is at any more is submitted."""
        ended = [(watched, watched.ended()) for watched in self._watched]
        yield from self.new_results()  # what they handed back at their end
        for watched, tasks in ended:
            for task, state in tasks.items():
                left = [item for item in watched.folder.items(task) if self._is_missing(item)]
                if left:
                    yield from self._settle(watched, task, state, left)
        if any(tasks for _, tasks in ended):
            self._submit(self._unassigned(self._config.item_groups()))

    def _tell_why_it_waits(self) -> None:
        """Once for each reason; one that nobody expects is a warning."""
        for job_id in self._running():
            reason = waiting_reason(job_id)
            if reason is not None and (job_id, reason) not in self._told:
                self._told.add((job_id, reason))
                level = logging.INFO if reason in USUAL_REASONS else logging.WARNING
                logger.log(level, "array %s waits: %s (see squeue's manual, and: scancel %s)", job_id, reason, job_id)

    def _settle(
        self, watched: _Watched, task: int, state: ArrayState | None, left: Sequence[Item]
    ) -> Generator[IndexResult, None, None]:
        name, why = f"{watched.job_id}_{task}", "over" if state is None else state.value
        if state is ArrayState.CANCELLED:
            for item in left:
                text = f"SLURM task {name} was cancelled before it was done with item {item.key!r}"
                yield self._failed(item, TaskEndedError(text))
            return
        is_limited = state is ArrayState.TIMEOUT
        presence = watched.folder.presence(task)
        if presence is None and state is ArrayState.NODE_FAIL:
            pass  # not the pipeline's fault
        elif presence is None and not watched.has_begun:
            self._failed_starts.add(str(watched.job_id) if state is None else name)  # forgotten, or never known
            if len(self._failed_starts) >= MAX_ATTEMPTS:
                self.cancel()
                for array in self.arrays:
                    array.give_up()
                log = self._log_path(watched.folder, str(watched.job_id), str(task))
                raise CuratorError(f"SLURM tasks end before they begin ({name}: {why}). {_end_of(log)}")
        elif presence is not None:
            held = next((item for item in left if item.index == presence.index), None)
            if held is not None:
                self._attempts[held.index] += 1
                if self._attempts[held.index] >= MAX_ATTEMPTS:
                    text = f"SLURM tasks ended {MAX_ATTEMPTS} times while they held item {held.key!r}, {name}: {why}"
                    yield self._failed(held, TaskEndedError(text) if is_limited else WorkerDiedError(text))

    def _failed(self, item: Item, error: CuratorError) -> IndexResult:
        del self._missing[item.index]
        return failed_result(item, error)

    def _is_missing(self, item: Item) -> bool:
        return self._missing.get(item.index) == item

    def _unassigned(self, groups: Iterable[Group]) -> list[Group]:
        """What no task of an array that was found still has to do."""
        assigned = {
            item.index: item
            for watched in self._watched
            for task in watched.open
            for item in watched.folder.items(task)
        }
        left = ([item for item in group if item.index in self._missing] for group in groups)
        return [group for group in left if group and any(assigned.get(item.index) != item for item in group)]

    def _submit(self, groups: Sequence[Group]) -> None:
        """Submit an array that does these groups: the tasks stride over them, suspects come alone."""
        if not groups:
            return
        alone = [[group] for group in groups if any(self._attempts[item.index] for item in group)]
        others = [group for group in groups if not any(self._attempts[item.index] for item in group)]
        n_tasks = min(len(others), max(1, self._resources.max_array_size - len(alone)))
        tasks = [*alone, *(others[task::n_tasks] for task in range(n_tasks))]
        folder = ArrayFolder.create(self._parent, self._config_hash, self._setup, tasks)
        self._log_path(folder, "", "").parent.mkdir(parents=True, exist_ok=True)
        script = folder.path / "script.sh"
        text = array_script(folder.path, cluster=self._cluster, resources=self._resources, job_name=self._job_name)
        script.write_text(text, encoding="utf-8")
        folder.submitted(submit(script, f"--array=0-{len(tasks) - 1}%{self._resources.max_concurrent}"))
        logger.info("array %s: %d tasks for %d items", folder.job_id, len(tasks), sum(map(len, groups)))
        self._watched.append(_Watched(folder, folder.job_id))

    def _log_path(self, folder: ArrayFolder, job_id: str, task: str) -> Path:
        return log_path(folder.path, self._cluster, self._job_name, job_id, task)


def _end_of(log: Path) -> str:
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return f"They wrote no log ({log})."
    return f"Their log, {log}, ends with: " + " | ".join(lines[-3:])
