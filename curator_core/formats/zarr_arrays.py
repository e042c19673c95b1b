"""Zarr arrays that grow row by row while a dataset is written, and are read ahead while it is read."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from curator_core.errors import ComponentError, MissingDependencyError
from curator_core.formats.arrays import Array, ArraySpec, Chunking, fill_value

try:
    import zarr
    from zarr.codecs import ZstdCodec
    from zarr.core.sync import sync
except ImportError as exc:
    raise MissingDependencyError.of("zarr", "zarr", "Reading and writing Zarr datasets") from exc

_READ_AHEAD_BYTES = 4 << 20
_UNREADABLE = (
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    OSError,
    RuntimeError,
    AttributeError,
    AssertionError,
)


def create_group(path: Path, attributes: Mapping[str, Any]) -> zarr.Group:
    """Make a dataset's folder."""
    return zarr.create_group(str(path), zarr_format=3, attributes=dict(attributes))


def open_group(path: Path) -> zarr.Group:
    """A dataset's folder, to be read.

    Raises
    ------
    ComponentError
        There is none, or its metadata are damaged.
    """
    try:
        group = zarr.open_group(str(path), mode="r", zarr_format=3)
        group.attrs.asdict()
    except _UNREADABLE as exc:
        reason = "it is nested too deep" if isinstance(exc, RecursionError) else str(exc) or type(exc).__name__
        raise ComponentError(f"There is no Zarr group at {path}: {reason}", file=str(path)) from exc
    return group


def find_array(group: zarr.Group, name: str) -> zarr.Array[Any] | None:
    """The array of a name; ``None`` where there is none."""
    found = group.get(name)
    return found if isinstance(found, zarr.Array) else None


@contextmanager
def settled_on_error() -> Iterator[None]:
    """Within, arrays are written; an error leaves when nothing is written any more, so that all can be removed.

    Zarr's first failed write ends a call, and the others go on in a thread of its own.
    """
    try:
        yield
    except BaseException:
        sync(_end_of_others())
        raise


async def _end_of_others() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    if others:
        await asyncio.wait(others)


class ArrayWriter:
    """Appends rows to a new array, a whole file at a time.

    Parameters
    ----------
    group
        Where the array is created.
    spec
        Its name, and what its rows are.
    n_rows
        How many will come.
    chunking
        How arrays of numbers are cut.
    """

    def __init__(self, group: zarr.Group, spec: ArraySpec, n_rows: int, chunking: Chunking) -> None:
        sizes = (chunking.for_text() if spec.is_text else chunking).fitted(n_rows)
        self._array = group.create_array(
            spec.name,
            shape=(n_rows, *spec.row_shape),
            chunks=(sizes.chunk_rows, *spec.row_shape),
            shards=(sizes.shard_rows, *spec.row_shape),
            dtype=spec.dtype,
            compressors=ZstdCodec(level=1) if spec.is_text else None,
            fill_value=fill_value(spec.dtype),
            dimension_names=spec.dims,
            attributes=dict(spec.attributes),
            config={"write_empty_chunks": True},  # so that a missing file is damage, and found as such
        )
        self._shard_rows = sizes.shard_rows
        self._pending: list[Array] = []
        self._n_pending = 0
        self._n_written = 0

    def append(self, values: Array) -> None:
        """Add rows of shape ``(n_rows, *shape)``."""
        while len(values):
            part = values[: self._shard_rows - self._n_pending]
            self._pending.append(part)
            self._n_pending += len(part)
            if self._n_pending == self._shard_rows:
                self._write()
            values = values[len(part) :]

    def close(self) -> None:
        """Write what remains."""
        if self._n_pending:
            self._write()

    def _write(self) -> None:
        block = self._pending[0] if len(self._pending) == 1 else np.concatenate(self._pending)
        self._array[self._n_written : self._n_written + len(block)] = block
        self._n_written += len(block)
        self._pending, self._n_pending = [], 0


class ArrayReader:
    """Reads rows of an array, ahead while they are asked for in order.

    Parameters
    ----------
    root
        Folder of the dataset.
    array
        The array.
    spec
        What its rows are.
    require_same
        Raises an error when the folder holds another dataset by now.

    Raises
    ------
    ComponentError
        A file of the array is missing: Zarr itself would read fill values there.
    """

    def __init__(
        self, root: Path, array: zarr.Array[Any], spec: ArraySpec, require_same: Callable[[], None] = lambda: None
    ) -> None:
        self._array = array
        self._require_same = require_same
        self._is_text = spec.is_text
        self._path = root / array.path
        self._ahead = _READ_AHEAD_BYTES // max(1, spec.row_bytes)
        self._start = self._next = 0
        self._window = self._read(0, 0)
        self._require_files(0, array.shape[0])

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the whole array."""
        return self._array.shape

    @property
    def chunks(self) -> tuple[int, ...]:
        """Shape of what is loaded at once."""
        return self._array.chunks

    def rows(self, start: int, stop: int) -> Array:
        """Rows from `start` to `stop`, ``(stop - start, *shape)``, strings as an object array; do not change them.

        Raises
        ------
        ComponentError
            A file of the array is damaged.
        """
        if start < self._start or stop > self._start + len(self._window):
            ahead = self._ahead if start == self._next else 0
            self._window = self._read(start, min(self._array.shape[0], max(stop, start + ahead)))
            self._start = start
        self._next = stop
        return self._window[start - self._start : stop - self._start]

    def _read(self, start: int, stop: int) -> Array:
        try:
            values = np.asarray(self._array[start:stop])
        except (ValueError, RuntimeError, OSError, LookupError, TypeError) as exc:
            self._require_files(start, stop)
            self._require_same()
            raise ComponentError(f"The dataset is damaged: {self._path}: {exc}", file=str(self._path)) from exc
        self._require_files(start, stop)
        self._require_same()
        return values.astype(object) if self._is_text else values

    def _require_files(self, start: int, stop: int) -> None:
        """Make sure that the files with these rows are there and not empty, which Zarr would take for none."""
        try:
            require_files(self._path, self._array, start, stop)
        except ComponentError:
            self._require_same()
            raise


def require_files(path: Path, array: zarr.Array[Any], start: int, stop: int) -> None:
    """Make sure that the files with the rows from `start` to `stop` are there, and not empty.

    Zarr itself takes a file that is missing or empty for one full of fill values.

    Raises
    ------
    ComponentError
        One is not; the message names it.
    """
    shard_rows = (array.shards or array.chunks)[0]
    for number in range(start // shard_rows, -(-stop // shard_rows)):
        file = path / array.metadata.encode_chunk_key((number, *(0 for _ in array.shape[1:])))
        try:
            state = "" if file.stat().st_size else "is empty"
        except OSError as exc:
            state = "is missing" if isinstance(exc, FileNotFoundError) else f"cannot be read: {exc}"
        if state:
            raise ComponentError(f"The dataset is damaged: {file} {state}.", file=str(file))
