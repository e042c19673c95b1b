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

from curator_core.errors import ConfigError, CuratorError, WorkerDiedError
from curator_core.pipeline import Pipeline
from curator_core.records import IndexResult, Item, WorkerUsage
from curator_core.run.base import RunBackend
from curator_core.run.chunks import failed_result
from curator_core.run.config import RunConfig
from curator_core.run.interrupts import released
from curator_core.run.slurm_array import ArrayFolder, TaskSetup, import_paths
from curator_core.run.slurm_usage import usage_of
from curator_core.run.slurm_watch import WatchedArray
from curator_core.run.worker import Group, serialized
from curator_core.slurm import (
    ArrayState,
    SlurmAwayError,
    SlurmCluster,
    SlurmError,
    SlurmResources,
    find_job,
    render_script,
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
MAX_LOST_ARRAYS = 3
"""Arrays with tasks that SLURM forgets before they begin, and no result between them, that end a run."""

logger = logging.getLogger("curator")


class SlurmBackend(RunBackend):
    """The indices as one job array; this process submits it, waits for results and records them.

    A run that is killed or interrupted leaves its array alone: the next one takes over what the tasks did and
    waits for what they still do.
    """

    name: ClassVar[str] = "slurm"
    description: ClassVar[str] = "A job array on a SLURM cluster."
    options: ClassVar[tuple[str, ...]] = ("cluster", "resources", "cancel_on_interrupt", "timeout")

    def __init__(self) -> None:
        self._finished: list[ArrayFolder] = []

    def stream(self, pipeline: Pipeline[Any], config: RunConfig) -> Generator[IndexResult, None, None]:
        """Yield results as tasks hand them back."""
        coordinator = _Coordinator(pipeline, config, finished=self._finished)
        try:
            yield from coordinator.results()
        except KeyboardInterrupt:
            coordinator.interrupted(is_cancelling=bool(config.backend_options.get("cancel_on_interrupt")))
            yield from coordinator.new_results()
            raise
        self._finished += coordinator.arrays

    def usage(self) -> list[WorkerUsage]:
        """CPU time and memory of the tasks, where the cluster keeps accounts."""
        return usage_of(self._finished)

    def recorded(self) -> None:
        """All results are in the metrics database: the arrays' files are not needed any more."""
        for array in self._finished:
            shutil.rmtree(array.path)
        self._finished = []


class _Coordinator:
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
        payload = serialized(pipeline, to="a SLURM task")
        self._setup = TaskSetup(payload, config.timeout, import_paths())
        self._missing = {item.index: item for item in config.items}
        self._attempts: Counter[int] = Counter()
        self._n_failed_starts = 0
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
            with released():
                pause.wait(LOOK_S)
            yield from self.new_results()
            now = time.monotonic()
            if now - asked > min(ASK_S[1], max(ASK_S[0], 0.05 * (now - began))):
                asked = now
                yield from self._follow_up()

    def new_results(self) -> Generator[IndexResult, None, None]:
        """Results that tasks have handed back since the last call."""
        for watched in self._watched:
            for result in watched.new():
                item = self._missing.get(result.index)
                if item is not None and (item.key, item.fingerprint) == (result.key, result.fingerprint):
                    del self._missing[result.index]
                    self._n_failed_starts = 0
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
            with released():
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
        ended = [(watched, watched.ended(found)) for watched, found in zip(self._watched, states, strict=True)]
        yield from self.new_results()  # what they handed back at their end
        again: set[int] = set()
        for watched, tasks in ended:
            for task, state in tasks.items():
                left = [item for item in watched.folder.items(task) if item.index in self._missing]
                if left:
                    yield from self._settle(watched, task, state, left, again)
        groups = [[item for item in group if item.index in again] for group in self._config.item_groups()]
        self._submit([group for group in groups if group])

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
        self, watched: WatchedArray, task: int, state: ArrayState | None, left: Sequence[Item], again: set[int]
    ) -> Generator[IndexResult, None, None]:
        name, why = f"{watched.job_id}_{task}", "over" if state is None else state.value
        if state is ArrayState.CANCELLED:
            for item in left:
                yield self._failed(item, f"SLURM task {name} was cancelled before it was done with item {item.key!r}")
            return
        presence = watched.folder.presence(task)
        if presence is None and state is ArrayState.NODE_FAIL:
            pass  # not the pipeline's fault
        elif presence is None:
            if state is None:  # a scheduler that crashed may have lost what it had just taken
                self._lost.add(watched.folder.path)
            else:
                self._n_failed_starts += 1
            if self._n_failed_starts >= MAX_ATTEMPTS or len(self._lost) >= MAX_LOST_ARRAYS:
                self.cancel()
                log = self._log_path(watched.folder, str(task))
                raise CuratorError(f"SLURM tasks end before they begin ({name}: {why}). {_end_of(log)}")
        else:
            held = next((item for item in left if item.index == presence.index), None)
            if held is not None:
                self._attempts[held.index] += 1
                if self._attempts[held.index] >= MAX_ATTEMPTS:
                    text = f"SLURM tasks ended {MAX_ATTEMPTS} times while they held item {held.key!r}, {name}: {why}"
                    yield self._failed(held, text)
        again.update(item.index for item in left if item.index in self._missing)

    def _failed(self, item: Item, text: str) -> IndexResult:
        del self._missing[item.index]
        return failed_result(item, WorkerDiedError(text))

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
        log = self._log_path(folder, "%a")
        log.parent.mkdir(parents=True, exist_ok=True)
        options = {
            **self._resources.options(),
            "job-name": "curator",
            "comment": folder.comment,
            "output": str(log.parent).replace("%", "%%") + f"/{log.name}",
        }
        command = ["-m", "curator_core.run.slurm_task", str(folder.path)]
        script = render_script(command, cluster=self._cluster, options=options)
        folder.script_path.write_text(script, encoding="utf-8")
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

    def _log_path(self, folder: ArrayFolder, task: str) -> Path:
        return folder.path / self._cluster.log_dir.replace("{project_job}", folder.path.name) / f"{task}.out"


def _end_of(log: Path) -> str:
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return f"They wrote no log ({log})."
    return f"Their log, {log}, ends with: " + " | ".join(lines[-3:])
