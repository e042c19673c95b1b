"""A job array on disk: what its tasks do, and what they hand back.

One folder per array, beside the metrics database. Tasks only add: each appends to a file of results of its own, one
line each, and keeps the index that it is at in another. The coordinator reads; it may be killed and begin again.
"""

from __future__ import annotations

import json
import logging
import os
import pickle
import re
import shutil
import socket
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, Self, cast, get_args

from curator_core.errors import StoreCorruptError, StoreError, UntrustedFileError
from curator_core.records import IndexResult, Item, Status
from curator_core.run.workers.heartbeats import WorkerStatus
from curator_core.run.workers.worker import Group
from curator_core.slurm import SlurmCluster, SlurmResources, render_script
from curator_core.slurm.resources import Option
from curator_core.storage.atomic import publish_text
from curator_core.storage.disk import append_whole, reason
from curator_core.storage.private import make_private_folder, read_private, write_private

_PRESENCE_BYTES = 256

logger = logging.getLogger("curator")


@dataclass(frozen=True)
class TaskSetup:
    """What every task reads when it begins."""

    payload: bytes
    """The pipeline, pickled."""
    timeout: float | None
    """Time that one index may take, seconds."""
    import_paths: tuple[str, ...]
    """Where the submitter finds modules."""


class ArrayFolder:
    """Files of one array.

    Parameters
    ----------
    path
        The folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls, parent: Path, config_hash: str, setup: TaskSetup, tasks: Sequence[Sequence[Group]]) -> Self:
        """A new array, which is not submitted yet.

        Raises
        ------
        StoreError
            The disk is full, say; nothing of it is left.
        """
        found = cls(parent / f"{config_hash[:16]}-{uuid.uuid4().hex}")
        make_private_folder(found.path)
        try:
            found._fill(setup, tasks)
        except OSError as exc:
            shutil.rmtree(found.path, ignore_errors=True)
            raise StoreError(f"The files of an array cannot be written to {found.path}: {reason(exc)}.") from exc
        return found

    def _fill(self, setup: TaskSetup, tasks: Sequence[Sequence[Group]]) -> None:
        (self.path / "results").mkdir()
        (self.path / "at").mkdir()
        write_private(self.path / "setup.pickle", pickle.dumps(setup))  # with secrets, which tasks need
        listed = [[[(item.index, item.key, item.fingerprint) for item in group] for group in task] for task in tasks]
        (self.path / "tasks.json").write_text(json.dumps(listed), encoding="utf-8")

    @classmethod
    def of(cls, parent: Path, config_hash: str) -> list[Self]:
        """All arrays of a configuration, oldest first."""
        found = sorted(parent.glob(f"{config_hash[:16]}-*"), key=lambda path: path.lstat().st_mtime_ns)
        for path in found:
            if (owner := path.lstat().st_uid) != os.geteuid():
                raise UntrustedFileError(
                    f"An array of user {owner} works on this database, or was left by a run that was killed: {path}. "
                    "Let them end it, or take another db_file."
                )
        return [cls(path) for path in found if (path / "tasks.json").exists()]

    @property
    def comment(self) -> str:
        """What the job can be found by in the queue, if its number was not written down."""
        return f"curator-{self.path.name}"

    @property
    def job_id(self) -> str | None:
        """SLURM's number of the array; ``None`` until it is written down."""
        try:
            return (self.path / "job_id").read_text(encoding="ascii")
        except FileNotFoundError:
            return None

    def submitted(self, job_id: str) -> None:
        """Write its number down."""
        publish_text(job_id, self.path / "job_id")

    @property
    def is_given_up(self) -> bool:
        """Whether its failure was reported: what its tasks died of is not counted again."""
        return (self.path / "given_up").exists()

    def give_up(self) -> None:
        """Note that its failure was reported."""
        (self.path / "given_up").touch()

    @property
    def script_path(self) -> Path:
        """What is submitted."""
        return self.path / "script.sh"

    def setup(self) -> TaskSetup:
        """What every task reads when it begins."""
        found: TaskSetup = pickle.loads(read_private(self.path / "setup.pickle"))  # noqa: S301 - our own coordinator's
        return found

    @cached_property
    def tasks(self) -> list[list[Group]]:
        """The groups of every task."""
        path = self.path / "tasks.json"
        try:
            listed: list[list[list[list[Any]]]] = list(json.loads(path.read_text(encoding="utf-8")))
            return [[[Item(*item) for item in group] for group in task] for task in listed]
        except (OSError, RecursionError, TypeError, ValueError) as exc:
            raise StoreCorruptError(
                f"{path} does not tell what the tasks of an array do ({exc}). End the array {self.job_id or ''} with "
                f"scancel, delete {self.path}, and run again: what was recorded stays."
            ) from exc

    def items(self, task: int) -> Iterator[Item]:
        """All items of one task."""
        return (item for group in self.tasks[task] for item in group)

    def results_path(self, task: int) -> Path:
        """Where a task appends its results."""
        return self.path / "results" / f"{task}.jsonl"

    def presence(self, task: int) -> WorkerStatus | None:
        """What a task was at when it last said so."""
        try:
            said = json.loads((self.path / "at" / str(task)).read_text(encoding="utf-8"))
            return WorkerStatus(**said)
        except (OSError, RecursionError, TypeError, ValueError):  # not begun, in the middle of a write, or damaged
            return None


class ResultLog:
    """A task's own results and what it is at; in a ``with`` block.

    Parameters
    ----------
    array, task
        Whose.
    worker_id
        The id of its results.
    """

    def __init__(self, array: ArrayFolder, task: int, worker_id: str) -> None:
        path = array.results_path(task)
        former = ResultTail(path)
        self.done = {(result.index, result.key, result.fingerprint) for result in former.new()}
        """What a former attempt of this task recorded: SLURM starts a task again whose node failed."""
        self._results = path.open("ab", buffering=0)
        self._results.truncate(former.offset)  # without a torn last line
        self._at = os.open(array.path / "at" / str(task), os.O_WRONLY | os.O_CREAT, 0o644)
        self._worker = {"worker_id": worker_id, "pid": os.getpid(), "host": socket.gethostname()}

    def begin(self, index: int | None) -> None:
        """The task begins an index, or is done."""
        said = json.dumps({**self._worker, "index": index, "since": time.time()})
        os.pwrite(self._at, said.encode().ljust(_PRESENCE_BYTES), 0)

    def append(self, result: IndexResult) -> None:
        """Hand a result back; from here on it survives the task."""
        append_whole(self._results, result.to_json().encode() + b"\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.fsync(self._results.fileno())
        self._results.close()
        os.close(self._at)


class ResultTail:
    """Reads a file of results while it grows.

    A line that is none is logged, and costs its own item alone. It may be whole a moment later: a network file system
    can show zeros where another host has not written yet.

    Parameters
    ----------
    path
        The file; it need not exist yet.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.offset = 0
        """Bytes of the whole lines read so far."""
        self.n_lines = 0
        """How many they are."""
        self._damaged: dict[int, int] = {}
        """Length of damaged lines by the place where they begin."""

    @property
    def has_damage(self) -> bool:
        """Whether lines are no results."""
        return bool(self._damaged)

    def new(self) -> list[IndexResult]:
        """Whole results that came since the last call."""
        try:
            if self._path.stat().st_size <= self.offset and not self._damaged:
                return []
            with self._path.open("rb") as file:
                mended = list(self._mended(file))
                file.seek(self.offset)
                content = file.read()
        except FileNotFoundError:
            return []
        return [*mended, *self._read(content[: content.rfind(b"\n") + 1])]

    def _mended(self, file: BinaryIO) -> Iterator[IndexResult]:
        for place, length in list(self._damaged.items()):
            file.seek(place)
            result = result_of_line(file.read(length))
            if result is not None:
                del self._damaged[place]
                yield result

    def _read(self, content: bytes) -> Iterator[IndexResult]:
        for line in content.split(b"\n")[:-1]:
            result = result_of_line(line)
            if result is None:
                self._damaged[self.offset] = len(line)
                logger.warning(
                    "%s, line %d, is no result",
                    *(self._path, self.n_lines + 1),
                )
            else:
                yield result
            self.offset += len(line) + 1
            self.n_lines += 1


def result_of_line(line: bytes) -> IndexResult | None:
    """The result that a task handed back in a line; ``None`` where it is none."""
    try:
        found = IndexResult.from_json(line.strip(b"\0").decode())
    except (RecursionError, ValueError):
        return None
    index, key, fingerprint = cast("tuple[object, ...]", (found.index, found.key, found.fingerprint))
    is_item = type(index) is int and isinstance(key, str) and isinstance(fingerprint, str | None)
    return found if is_item and found.status in get_args(Status) else None


def array_script(
    folder: Path,
    *,
    cluster: SlurmCluster,
    resources: SlurmResources,
    job_name: str,
    required: Sequence[str] = (),
    remark: str = "",
) -> str:
    """The script of an array's tasks.

    Parameters
    ----------
    folder
        Of the array.
    cluster, resources
        Where its tasks run, and what each gets.
    job_name
        Its name in the queue.
    required, remark
        As for `render_script`.
    """
    output = log_path(folder, cluster, job_name, "%A", "%a")
    options: dict[str, Option] = {
        **resources.options(most_per_cpu=cluster.mem_per_cpu),
        "job-name": job_name,
        "comment": ArrayFolder(folder).comment,
        "output": str(output.parent).replace("%", "%%") + f"/{output.name}",
    }
    command = ["-m", "curator_core.run.backends.slurm.task", str(folder)]
    return render_script(command, cluster=cluster, options=options, required=required, remark=remark)


def log_path(folder: Path, cluster: SlurmCluster, job_name: str, job_id: str, task: str) -> Path:
    """Where a task's output goes: a relative folder of logs is within that of the array."""
    log_dir = folder / Path(cluster.log_dir.replace("{project_job}", folder.name)).expanduser()
    return log_dir / f"{slug(job_name)}-{job_id}_{task}.out"


def slug(name: str) -> str:
    """A name as part of a file's name: SLURM would replace ``%`` there, and not do so after a backslash."""
    return re.sub(r"[^\w.-]+", "_", name)
