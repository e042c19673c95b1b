"""Who submits job arrays, and follows them until every item has a result."""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections import Counter
from collections.abc import Container, Generator, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from curator_core.errors import (
    ArrayUnfinishedError,
    ConfigError,
    CuratorError,
    StoreCorruptError,
    TaskEndedError,
    WorkerDiedError,
)
from curator_core.pipeline.pipeline import Pipeline
from curator_core.records import IndexResult, Item
from curator_core.run.backends.slurm.array import ArrayFolder, TaskSetup, array_script, log_path
from curator_core.run.backends.slurm.watch import WatchedArray
from curator_core.run.config import RunConfig
from curator_core.run.scheduling.chunks import failed_result
from curator_core.run.signals import signals_delivered
from curator_core.run.workers.worker import Group, serialized
from curator_core.slurm import (
    ArrayState,
    SlurmAwayError,
    SlurmCluster,
    SlurmError,
    SlurmResources,
    find_job,
    import_paths,
    waiting_reason,
)
from curator_core.storage.private import write_private

LOOK_S = 0.5
"""Time between two looks at the tasks' files, seconds."""
ASK_S = (2.0, 30.0)
"""Time between two questions to the scheduler, seconds: at first, and in a long run."""
USUAL_REASONS = ("None", "Resources", "Priority", "JobArrayTaskLimit", "BeginTime")
"""Why tasks wait on any cluster; others may keep them waiting for ever."""
MAX_ATTEMPTS = 2
"""How often an item is tried whose task dies with it."""
MAX_LOST_ARRAYS = 3
"""Arrays with tasks that SLURM forgets before they begin, and no result between them, that end a run."""

logger = logging.getLogger("curator")


class SlurmCoordinator:
    """Submits arrays and follows them until every item has a result."""

    def __init__(self, pipeline: Pipeline[Any], config: RunConfig, finished: Sequence[ArrayFolder]) -> None:
        if config.journals is None:
            raise ConfigError("The backend 'slurm' hands results over through the metrics database: turn tracking on.")
        journals, self._config_hash = config.journals
        self._parent = journals.absolute().with_suffix(".slurm")  # tasks may have another working folder
        if not str(self._parent).isprintable() or "\\" in str(self._parent):
            raise ConfigError(
                f"sbatch cannot write logs to {str(self._parent)!r}: put the metrics database (db_file, db_dir) in a "
                "folder without backslashes and control characters."
            )
        self._config = config
        options = config.backend_options
        self._cluster = SlurmCluster.of(options.get("cluster"))
        self._resources = SlurmResources.of(options.get("resources"))
        self._job_name = str(options.get("job_name", "curator"))
        payload = serialized(pipeline, to="a SLURM task")
        self._setup = TaskSetup(payload, config.timeout, import_paths())
        self._missing = {item.index: item for item in config.items}
        self._attempts: Counter[int] = Counter()
        self._unseen: Counter[int] = Counter()
        self._failed_starts: set[str] = set()
        self._lost: set[Path] = set()
        self._told: set[tuple[str, str]] = set()
        self._is_away = False
        self._watched = self._found({array.path for array in finished})

    @property
    def arrays(self) -> list[ArrayFolder]:
        """All arrays of this run, those it found included."""
        return [watched.folder for watched in self._watched]

    def _found(self, finished: Container[Path]) -> list[WatchedArray]:
        """Arrays that a run before this one left."""
        arrays = [found for found in ArrayFolder.of(self._parent, self._config_hash) if found.path not in finished]
        return [WatchedArray(array, array.job_id or find_job(array.comment)) for array in arrays]

    def results(self) -> Generator[IndexResult, None, None]:
        """What comes, until nothing is missing."""
        for watched in self._watched:
            watched.ended(watched.states())
        if self._config.resumes:
            yield from self.new_results()  # after that: what a task did until its end is not submitted again
            self._end([(watched, self._unwanted(watched)) for watched in self._watched])
            yield from self.new_results()
        else:
            self._end([(watched, set(watched.open)) for watched in self._watched])
            for watched in self._watched:
                shutil.rmtree(watched.folder.path)
            self._watched = []
        self._submit(self._unassigned(self._config.item_groups()))
        self._config.board.open()
        began = asked = time.monotonic()
        pause = threading.Event()
        while self._missing:
            with signals_delivered():
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
        SlurmError
            The scheduler does not answer.
        """
        for watched in self._watched:
            if self._config.backend_options.get("tries_anew", False):
                watched.folder.give_up()
            if watched.folder.is_given_up or watched.job_id is None:  # its ends are told, or it never was submitted
                watched.ended(watched.states())
        yield from self.new_results()
        ending = [(watched, unwanted) for watched in self._watched if (unwanted := self._unwanted(watched))]
        self._end([(watched, unwanted & watched.alive()) for watched, unwanted in ending])
        yield from self._judged([watched.states() for watched in self._watched])
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
                    self._lost.clear()
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
        for watched in self._watched:
            try:
                watched.cancel(watched.open)
            except SlurmError as exc:  # this run ends, and must record what it has
                logger.warning("Array %s goes on, it could not be cancelled: %s", watched.job_id, exc)

    def _running(self) -> list[str]:
        return [watched.job_id for watched in self._watched if watched.open and watched.job_id is not None]

    def _unwanted(self, watched: WatchedArray) -> set[int]:
        """Tasks of an array that was found that have more to do than this run wants, or not all of a group.

        What they would write could meet what others write in their place.
        """
        groups = self._config.item_groups() if watched.open else ()
        together = {item.index: group for group in groups if len(group) > 1 for item in group}

        def is_wanted(task: int) -> bool:
            left = {item.index: item for item in watched.left(task)}
            members = (member for index in left for member in together.get(index, ()))
            return all(self._missing.get(index) == item for index, item in left.items()) and all(
                member.index in left for member in members if member.index in self._missing
            )

        return {task for task in watched.open if not is_wanted(task)}

    def _end(self, ending: Sequence[tuple[WatchedArray, set[int]]]) -> None:
        """Cancel tasks, and wait until they are gone: they write no more."""
        ending = [(watched, tasks) for watched, tasks in ending if tasks]
        for watched, tasks in ending:
            logger.info("array %s: ending %d tasks whose work is not wanted any more", watched.job_id, len(tasks))
            watched.cancel(tasks)
        pause = threading.Event()
        while any(watched.open & tasks for watched, tasks in ending):
            with signals_delivered():
                pause.wait(LOOK_S)
            for watched, _ in ending:
                watched.ended(watched.states())

    def _follow_up(self) -> Generator[IndexResult, None, None]:
        """See which tasks are over; items that they left are tried again, or fail."""
        self._submit_due()
        try:
            states = [watched.states() for watched in self._watched]
            self._tell_why_it_waits()
        except SlurmError as exc:  # it may start again while an array works for weeks
            self._tell_outage(exc)
            return
        self._is_away = False
        yield from self._judged(states)

    def _judged(self, states: Sequence[dict[int, ArrayState]]) -> Generator[IndexResult, None, None]:
        """What came, and what is to be said of tasks that are over; what nobody is at any more is submitted."""
        ended = [(watched, watched.ended(found)) for watched, found in zip(self._watched, states, strict=True)]
        yield from self.new_results()  # what they handed back at their end
        for watched, tasks in ended:
            for task, state in tasks.items():
                left = [item for item in watched.folder.items(task) if self._is_missing(item)]
                if left:
                    yield from self._settle(watched, task, state, left)
        if any(tasks for _, tasks in ended):
            self._submit(self._unassigned(self._config.item_groups()))

    def _tell_outage(self, error: CuratorError) -> None:
        if not self._is_away:
            logger.warning("The scheduler cannot be asked; this run goes on, and tries again: %s", error)
        self._is_away = True

    def _tell_why_it_waits(self) -> None:
        """Once for each reason; one that nobody expects is a warning."""
        for job_id in self._running():
            reason = waiting_reason(job_id)
            if reason is not None and (job_id, reason) not in self._told:
                self._told.add((job_id, reason))
                level = logging.INFO if reason in USUAL_REASONS else logging.WARNING
                logger.log(level, "array %s waits: %s (see squeue's manual, and: scancel %s)", job_id, reason, job_id)

    def _settle(
        self, watched: WatchedArray, task: int, state: ArrayState | None, left: Sequence[Item]
    ) -> Generator[IndexResult, None, None]:
        name, why = f"{watched.job_id}_{task}", "over" if state is None else state.value
        if state is ArrayState.CANCELLED:
            for item in left:
                text = f"SLURM task {name} was cancelled before it was done with item {item.key!r}"
                yield self._failed(item, TaskEndedError(text))
            return
        presence = watched.folder.presence(task)
        if presence is None and not watched.has_begun and state is not ArrayState.NODE_FAIL:
            self._count_failed_start(watched, task, name, None if state is None else why)
        elif presence is not None and presence.index is None:
            yield from self._unread(watched, task, left)
        elif presence is not None:
            current = next((item for item in left if item.index == presence.index), None)
            if current is not None:
                self._attempts[current.index] += 1
                if self._attempts[current.index] >= MAX_ATTEMPTS:
                    text = f"SLURM tasks ended {MAX_ATTEMPTS} times while they held item {current.key!r}, {name}: {why}"
                    is_limited = state is ArrayState.TIMEOUT
                    yield self._failed(current, TaskEndedError(text) if is_limited else WorkerDiedError(text))

    def _unread(self, watched: WatchedArray, task: int, left: Sequence[Item]) -> Iterator[IndexResult]:
        """A task was done with all of its items, and what it handed back of some is damaged, or is not to be seen."""
        for item in left:
            self._unseen[item.index] += 1
            if watched.has_damaged_results(task) or self._unseen[item.index] >= MAX_ATTEMPTS:
                text = (
                    f"SLURM task {watched.job_id}_{task} handed back a result of item {item.key!r} that cannot be "
                    "read; the next run processes it again"
                )
                yield self._failed(item, StoreCorruptError(text))

    def _count_failed_start(self, watched: WatchedArray, task: int, name: str, why: str | None) -> None:
        if why is None:  # a scheduler that crashed may have lost what it had just taken
            self._lost.add(watched.folder.path)
        else:
            self._failed_starts.add(name)
        if len(self._failed_starts) < MAX_ATTEMPTS and len(self._lost) < MAX_LOST_ARRAYS:
            return
        self.cancel()
        for array in self.arrays:
            array.give_up()
        log = _end_of(self._log_path(watched.folder, str(watched.job_id), str(task)))
        raise CuratorError(f"SLURM tasks end before they begin ({name}: {why or 'over'}). {log}")

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
        """Submit an array that does these groups: the tasks stride over them, suspects come alone.

        Where tasks do a limited number of groups, what is left comes when all of these tasks are over.
        """
        most = self._resources.max_jobs_per_task
        if not groups or (most is not None and any(watched.open for watched in self._watched)):
            return
        groups = groups if most is None else groups[: most * self._resources.max_array_size]
        alone = [[group] for group in groups if any(self._attempts[item.index] for item in group)]
        others = [group for group in groups if not any(self._attempts[item.index] for item in group)]
        n_wanted = len(others) if most is None else -(-len(others) // most)
        n_tasks = min(n_wanted, max(1, self._resources.max_array_size - len(alone)))
        tasks = [*alone, *(others[task::n_tasks] for task in range(n_tasks))]
        folder = ArrayFolder.create(self._parent, self._config_hash, self._setup, tasks)
        self._log_path(folder, "", "").parent.mkdir(parents=True, exist_ok=True)
        script = array_script(folder.path, cluster=self._cluster, resources=self._resources, job_name=self._job_name)
        write_private(folder.script_path, script.encode())  # variables may be secrets
        self._watched.append(WatchedArray(folder, None))
        self._try_to_submit(self._watched[-1])

    def _try_to_submit(self, watched: WatchedArray) -> None:
        """Submit an array; a run that has others goes on if the scheduler does not take it now."""
        n_tasks, had_others = len(watched.folder.tasks), len(self._watched) > 1
        try:
            watched.submit(f"--array=0-{n_tasks - 1}%{self._resources.max_concurrent}")
        except (SlurmError, ConfigError) as exc:
            is_away = isinstance(exc, SlurmAwayError)
            if not (had_others if is_away else self._running()):
                if not is_away:  # where it may have been taken, the next run looks for it
                    self._watched.remove(watched)
                    shutil.rmtree(watched.folder.path)
                raise
            self._tell_outage(exc)
        else:
            n_items = sum(len(group) for task in watched.folder.tasks for group in task)
            logger.info("array %s: %d tasks for %d items", watched.job_id, n_tasks, n_items)

    def _submit_due(self) -> None:
        for watched in [found for found in self._watched if found.is_due]:
            self._try_to_submit(watched)

    def _log_path(self, folder: ArrayFolder, job_id: str, task: str) -> Path:
        return log_path(folder.path, self._cluster, self._job_name, job_id, task)


def _end_of(log: Path) -> str:
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return f"They wrote no log ({log})."
    return f"Their log, {log}, ends with: " + " | ".join(lines[-3:])
