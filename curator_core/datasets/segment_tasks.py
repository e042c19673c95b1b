"""Segments that workers encode: each becomes a part of its own, of which publishing takes the files.

A segment is an item of a pipeline, which whoever publishes hands to the backend of the run. What is encoded lies under
a hash of all that its bytes depend on: it is whole or absent, and what a killed publication left is taken by the next.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from curator_core.datasets.layout import RaggedFormat, Rows
from curator_core.datasets.origins import Origin
from curator_core.datasets.parts import PART_SUFFIX, Part, write_members
from curator_core.datasets.published import Place, StoredRows
from curator_core.datasets.segments import Segment, SegmentEncoder
from curator_core.datasets.workers import current_workers
from curator_core.errors import MergeError
from curator_core.pipeline.components import Sink, Source
from curator_core.pipeline.pipeline import Pipeline
from curator_core.storage.atomic import remove, written_shard

LEAST_BYTES = 128 << 20
"""With fewer, the publishing process is done before workers have begun."""


@dataclass(frozen=True, slots=True)
class SegmentTask:
    """A segment that is to be encoded."""

    name: str
    """Hash of all that its bytes depend on."""
    items: tuple[tuple[str | Place, str], ...]
    """The part of each item, or where it lies in the dataset before, and its schema."""
    arrays: tuple[str, ...]
    """Which arrays."""
    rows: dict[str, int]
    """Number of rows by axis."""

    @classmethod
    def of(
        cls, segment: Segment, origins: Sequence[Origin], encoder: SegmentEncoder, arrays: tuple[str, ...]
    ) -> SegmentTask:
        """The task of some arrays of a segment, whose items come from `origins`."""
        digest = hashlib.sha256(f"{segment.id}{[encoder.stored[name] for name in arrays]}".encode())
        for origin in origins:
            digest.update(origin.digest)
        items = tuple((origin.place, origin.schema) for origin in origins)
        return cls(digest.hexdigest()[:32], items, arrays, dict(segment.rows))


class SegmentSource(Source[SegmentTask]):
    """Segments that are to be encoded.

    Parameters
    ----------
    tasks
        The segments.
    """

    name = "segments_to_encode"

    def __init__(self, tasks: Sequence[SegmentTask]) -> None:
        self._tasks = tasks

    def __len__(self) -> int:
        return len(self._tasks)

    def __getitem__(self, index: int) -> Generator[SegmentTask, None, None]:
        yield self._tasks[index]

    def key(self, index: int) -> str:
        return self._tasks[index].name


class SegmentSink(Sink[SegmentTask]):
    """Encodes segments into a folder.

    Parameters
    ----------
    folder
        The folder.
    ragged
        What the domain says of its datasets.
    encoder
        Encodes them.
    held
        Reads the dataset before, if any.
    """

    name = "encoded_segments"

    def __init__(self, folder: str, ragged: RaggedFormat, encoder: SegmentEncoder, held: StoredRows | None) -> None:
        self._folder, self._ragged, self._encoder, self._held = folder, ragged, encoder, held

    def __call__(self, items: Iterator[SegmentTask], index: int) -> list[str]:
        (task,) = items
        path = _path(Path(self._folder), task.name)
        rows = [(self._rows(place, schema), schema) for place, schema in task.items]
        with written_shard(path, self.name) as temporary:
            members = dict(self._encoder.encode(rows, task.arrays))
            write_members(temporary, self._ragged.layout, task.rows, members, is_synced=False)
        return [str(path)]

    def _rows(self, place: str | Place, schema: str) -> Rows:
        if isinstance(place, str):
            return Part(place).read(self._ragged)
        assert self._held is not None  # noqa: S101 - the item lies there
        return self._held.read(place, schema)

    def output_places(self) -> Iterable[str]:
        return [self._folder]


class EncodedSegments:
    """What workers encoded of a dataset that is being published.

    Parameters
    ----------
    ragged
        What the domain says of its datasets.
    encoder
        How segments are encoded.
    held
        Reads the dataset before, if any.
    """

    def __init__(self, ragged: RaggedFormat, encoder: SegmentEncoder, held: Callable[[], StoredRows | None]) -> None:
        self._ragged, self._encoder, self._held = ragged, encoder, held
        self._workers = current_workers()
        self._names: dict[int, str] = {}

    @property
    def is_wanted(self) -> bool:
        """Whether there are workers, or something that they left."""
        return self._workers is not None and (self._workers.encode is not None or self._workers.folder.exists())

    def prepare(self, tasks: dict[int, SegmentTask]) -> None:
        """Have segments encoded that are not yet, where that is worth it.

        Parameters
        ----------
        tasks
            The segments by their position.

        Raises
        ------
        MergeError
            One cannot be encoded.
        """
        assert self._workers is not None  # noqa: S101 - asked before
        folder, encode = self._workers.folder, self._workers.encode
        done = {task.name for task in tasks.values() if _is_whole(_path(folder, task.name))}
        left = [task for task in tasks.values() if task.name not in done]
        if encode is not None and len(left) > 1 and sum(map(self._size, left)) >= LEAST_BYTES:
            folder.mkdir(parents=True, exist_ok=True)
            sink = SegmentSink(str(folder), self._ragged, self._encoder, self._held())
            encode(Pipeline(SegmentSource(left), sink=sink, track_metrics=False, track_memory=False), folder)
            done.update(task.name for task in left)
        self._names = {number: task.name for number, task in tasks.items() if task.name in done}

    def _size(self, task: SegmentTask) -> int:
        specs = (self._encoder.stored[name] for name in task.arrays)
        return sum(task.rows[spec.dims[0]] * spec.row_bytes for spec in specs)

    def find(self, number: int) -> Part | None:
        """The part of the segment at a position; ``None`` where publishing encodes it itself."""
        name = self._names.get(number)
        return None if name is None or self._workers is None else Part(_path(self._workers.folder, name))

    def remove(self) -> None:
        """Delete what the dataset holds by now, so that its files have one name."""
        if self._workers is not None:
            remove(self._workers.folder)


def _path(folder: Path, name: str) -> Path:
    return folder / f"{name}{PART_SUFFIX}"


def _is_whole(path: Path) -> bool:
    """Whether a segment was encoded; one that a machine which went down left half is removed."""
    if not path.exists():
        return False
    try:
        Part(path).verify()
    except MergeError:
        remove(path)
        return False
    return True
