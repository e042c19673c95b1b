"""What is known about a processed index: plain frozen records, shared by every part of curator."""

from __future__ import annotations

import json
import operator
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, fields
from operator import attrgetter
from typing import Any, Literal, get_args

from curator_core.errors import ConfigError
from curator_core.portable import Packed

Status = Literal["completed", "error"]
TrackMemory = bool | Literal["tracemalloc"]
"""How memory is measured."""

# Items and results travel between processes in great numbers: a tuple of their fields is pickled several times
# as fast as the state of an object. For the same reason, what is made for every index is not frozen: setting the
# fields of a frozen record costs more than all else in it. Nobody changes one.


@dataclass(frozen=True, slots=True)
class Item:
    """One entry of a source's listing."""

    index: int
    """Zero-based position in the source."""
    key: str
    """Stable identity of the item."""
    fingerprint: str | None = None
    """Cheap content identity, ``None`` when the source has none."""

    def __reduce__(self) -> tuple[type[Item], tuple[object, ...]]:
        return Item, (self.index, self.key, self.fingerprint)


@dataclass(slots=True, unsafe_hash=True)
class StageMetrics:
    """Time spent in one stage of the pipeline, other stages excluded."""

    name: str
    """Name of the source, filter or sink."""
    wall_time_ns: int
    """Exclusive wall time, nanoseconds."""

    def __reduce__(self) -> tuple[type[StageMetrics], tuple[object, ...]]:
        return StageMetrics, (self.name, self.wall_time_ns)


@dataclass(frozen=True, slots=True)
class Artifact:
    """A file that a filter wrote while an index was processed."""

    path: str
    """Where it is."""
    filter_name: str
    """Name of the filter."""
    filter_order: int
    """Position of the filter in the pipeline, 1 for the first."""
    written: int | None = None
    """Mark of the file when the filter had written it, see `curator_core.storage.written`."""


@dataclass(frozen=True, slots=True)
class LogLine:
    """One log record that a worker emitted while it processed an index."""

    timestamp: str
    """ISO-8601, UTC."""
    level: int
    """Numeric level of the standard library's `logging`."""
    level_name: str
    """Its name, such as ``WARNING``."""
    logger_name: str
    """Name of the logger."""
    message: str
    """The formatted message."""


@dataclass(slots=True, unsafe_hash=True)
class IndexResult:
    """Everything that happened to one index: the only thing a worker hands back."""

    index: int
    """Position in the source at the time of the run."""
    key: str
    """Key of the item."""
    status: Status
    """``completed`` or ``error``."""
    fingerprint: str | None = None
    """Fingerprint of the item when the run was planned."""
    output_paths: tuple[str, ...] = ()
    """What the sink wrote, in its order."""
    artifacts: tuple[Artifact, ...] = ()
    """What the filters wrote."""
    stages: tuple[StageMetrics, ...] = ()
    """Exclusive times, source first; they sum to `wall_time_ns`."""
    wall_time_ns: int = 0
    """Time from start to end of this index, nanoseconds."""
    peak_memory_bytes: int | None = None
    """Peak memory of the worker process while the index ran, bytes."""
    gpu_memory_bytes: int | None = None
    """Peak GPU memory, bytes, where torch or CuPy measured it."""
    error: str | None = None
    """``"ErrorType: message"`` of a failed index."""
    traceback: str | None = None
    """Formatted traceback of a failed index."""
    logs: tuple[LogLine, ...] = ()
    """What was logged meanwhile."""
    worker_id: str | None = None
    """Which worker did it."""
    worker_pid: int | None = None
    """Its process id."""
    worker_host: str | None = None
    """Its host."""
    started_at: str | None = None
    """ISO-8601, UTC."""
    completed_at: str | None = None
    """ISO-8601, UTC."""
    written: tuple[int | None, ...] = ()
    """Marks of `output_paths` when the sink had written them, see `curator_core.storage.written`."""
    item_path: str | None = field(default=None, compare=False, repr=False)
    """Path or URL of the item, where it is known and is to be shown; never stored."""
    exception: BaseException | None = field(default=None, compare=False, repr=False)
    """The original exception where it could be carried over; never stored."""

    def __reduce__(self) -> tuple[type[IndexResult], tuple[object, ...]]:
        fields_ = _fields_of_result(self)
        if self.exception is not None:  # the last field
            fields_ = (*fields_[:-1], Packed.of(self.exception, self.error or "failed", self.key))
        return IndexResult, fields_

    @property
    def is_completed(self) -> bool:
        """Whether the index was processed without an error."""
        return self.status == "completed"

    def to_json(self) -> str:
        """One line of JSON holding every field but `exception`."""
        data = dict(zip(_STORED, _stored_of_result(self), strict=True))
        data["stages"] = [{"name": stage.name, "wall_time_ns": stage.wall_time_ns} for stage in self.stages]
        return json.dumps(data, default=asdict, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> IndexResult:
        """Rebuild a result written by `to_json`.

        Raises
        ------
        ValueError
            The text is no such line.
        """
        try:
            data: dict[str, Any] = json.loads(text)
            found = cls(
                **{
                    **data,
                    "output_paths": tuple(data["output_paths"]),
                    "written": tuple(data.get("written", ())),
                    "artifacts": tuple(Artifact(**a) for a in data["artifacts"]),
                    "stages": tuple(StageMetrics(**s) for s in data["stages"]),
                    "logs": tuple(LogLine(**line) for line in data["logs"]),
                }
            )
        except (KeyError, RecursionError, TypeError, ValueError) as exc:
            raise ValueError(f"Not an index result: {text[:80]!r}") from exc
        wrong = next(_misfits(found), None)
        if wrong is not None:
            raise ValueError(f"Not an index result, {wrong}: {text[:80]!r}")
        return found


_MAX_INTEGER = 2**63 - 1


def _misfits(result: IndexResult) -> Iterator[str]:
    """What in a result that was read is of another kind than belongs there."""
    if result.status not in get_args(Status):
        yield f"its status is {result.status!r}"
    parts: tuple[object, ...] = (result, *result.artifacts, *result.stages, *result.logs)
    for part in parts:
        for name, kinds in _KINDS[type(part)].items():
            value = getattr(part, name)
            if type(value) not in kinds or (type(value) is int and abs(value) > _MAX_INTEGER):
                yield f"its {name} is {value!r:.40}"
    if not all(isinstance(path, str) for path in result.output_paths):
        yield "its output_paths are no texts"
    if not all(mark is None or (type(mark) is int and abs(mark) <= _MAX_INTEGER) for mark in result.written):
        yield "its marks are no integers"


def _kinds_of(record: type) -> dict[str, tuple[type, ...]]:
    """Kinds of those fields of a record that hold a number or a text."""
    known = {"int": (int,), "str": (str,), "int | None": (int, type(None)), "str | None": (str, type(None))}
    return {f.name: known[str(f.type)] for f in fields(record) if str(f.type) in known}


_RECORDS: tuple[type, ...] = (IndexResult, Artifact, StageMetrics, LogLine)
_KINDS = {record: _kinds_of(record) for record in _RECORDS}


_fields_of_result: Callable[[IndexResult], tuple[object, ...]] = attrgetter(*(f.name for f in fields(IndexResult)))
_STORED = tuple(f.name for f in fields(IndexResult) if f.name not in ("item_path", "exception"))
_stored_of_result: Callable[[IndexResult], tuple[object, ...]] = attrgetter(*_STORED)


@dataclass(frozen=True, slots=True)
class WorkerUsage:
    """What a worker used that a cluster ran as a job, as its accounting has it; ``None`` is what was not measured."""

    worker_id: str
    """Its id, as in its results."""
    pid: int
    """Its process."""
    host: str
    """Its host."""
    job: str
    """The cluster's name of the job, such as ``12_3``."""
    job_state: str
    """How the job ended."""
    elapsed_s: float | None
    """How long it had its CPUs, seconds."""
    n_cpus: int | None
    """CPUs it had."""
    cpu_s: float | None
    """CPU time it used, seconds."""
    peak_memory_bytes: int | None
    """Its largest memory."""


def position(index: object) -> int:
    """An index as an integer of Python's own; NumPy's are taken.

    Raises
    ------
    ConfigError
        It is no integer.
    """
    kind = type(index).__name__
    if not kind.startswith("bool"):  # numpy.bool is one, too
        try:
            return operator.index(index)  # type: ignore[arg-type]
        except TypeError:
            pass
    hint = " For a mask, use numpy.flatnonzero(mask)." if kind.startswith("bool") else ""
    raise ConfigError(f"An index must be an integer (from 0), not {index!r} ({kind}).{hint}")
