"""Parts: the rows of one item as the final shard files of every array, written by the worker that processed it.

A small part is one file: a mark, the length of its head, the head as JSON, then the shard files one after another. A
large one is a folder with the head in ``head.json`` and each shard file under ``{array}.{shard}``, so that publishing
can link it.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from array import array
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any, Final

import numpy.typing as npt

from curator_core.datasets.layout import Layout, RaggedFormat, Rows, stored_arrays, structure
from curator_core.errors import MergeError
from curator_core.formats.arrays import ArraySpec
from curator_core.formats.shard_files import DAMAGED
from curator_core.storage.atomic import link_or_copy, sync

PART_SUFFIX: Final = ".part"
"""Suffix of parts, for `ShardedSink.shard_suffix`."""
MAX_FILE_BYTES: Final = 1 << 20
"""A larger part is a folder. As large as what is compacted: many small files are slow, few large ones are not."""

_MARK: Final = b"curator part 2\n"
_HEAD: Final = "head.json"
_LENGTH_BYTES: Final = 8
_UNREADABLE = (*DAMAGED, OSError, EOFError, AttributeError)


def write_part(path: str | Path, ragged: RaggedFormat, rows: Rows, schema: str | None = None) -> None:
    """Write the part of one item to a new file or folder.

    Parameters
    ----------
    path
        Where.
    ragged
        What the domain says of its datasets.
    rows
        The item's rows under its own schema.
    schema
        That schema; the only one of a domain that has one.
    """
    schema = ragged.schema if schema is None else schema
    arrays, layout = ragged.own(schema), ragged.layout
    specs = stored_arrays(layout, arrays)
    values = structure(layout, rows) | dict(rows.values)
    values |= {layout.presence(name).name: rows.present[name] for name in arrays.partial}
    members = {name: list(layout.codec(spec).encode(values[name])) for name, spec in specs.items()}
    write_members(path, layout, {axis.name: rows.n_on(axis.name) for axis in layout.axes}, members, schema)


def write_members(
    path: str | Path,
    layout: Layout,
    n_rows: Mapping[str, int],
    members: Mapping[str, list[bytes]],
    schema: str = "",
    *,
    is_synced: bool = True,
) -> None:
    """Write a part whose shard files are encoded already.

    Parameters
    ----------
    path
        Where.
    layout
        How they were cut.
    n_rows
        Number of rows by axis.
    members
        The files by name of the array.
    schema
        What the arrays are of.
    is_synced
        Whether the files of a large part are made durable, so that they need not be when they are published.
    """
    head = {
        "layout": layout.described() | {"items_per_segment": 1},
        "schema": schema,
        "rows": n_rows,
        "members": [[name, [len(file) for file in files], checksum(files)] for name, files in members.items()],
    }
    if sum(len(file) for files in members.values() for file in files) <= MAX_FILE_BYTES:
        _write_file(Path(path), head, members)
    else:
        _write_folder(Path(path), head, members, is_synced=is_synced)


def checksum(files: Sequence[bytes]) -> int:
    """Checksum of the files of one array in one segment, in their order; 0 where there are none."""
    if not files:
        return 0
    digest = hashlib.blake2b(digest_size=8)
    for file in files:
        digest.update(file)
    return int.from_bytes(digest.digest(), "little")


def _write_file(path: Path, head: dict[str, Any], members: Mapping[str, list[bytes]]) -> None:
    text = json.dumps(head).encode()
    with path.open("wb") as file:
        file.write(b"".join((_MARK, len(text).to_bytes(_LENGTH_BYTES, "little"), text)))
        for files in members.values():
            file.writelines(files)


def _write_folder(path: Path, head: dict[str, Any], members: Mapping[str, list[bytes]], *, is_synced: bool) -> None:
    """Write files that publishing links, and makes durable only where they have no other name."""
    numbered = {f"{n}.{shard}": data for n, files in enumerate(members.values()) for shard, data in enumerate(files)}
    found = numbered | {_HEAD: json.dumps(head).encode()}
    path.mkdir()
    for name, data in found.items():
        (path / name).write_bytes(data)
    for name in found if is_synced else ():  # when all are written: the disk takes them together
        sync(path / name)


class Part:
    """The part of one item, to be read: what it says of itself stays in memory, compact, since there may be millions.

    Parameters
    ----------
    path
        The file or folder.

    Raises
    ------
    MergeError
        It is missing or damaged.
    """

    __slots__ = ("_content", "_is_folder", "_numbers", "_path", "_places", "_start", "layout", "schema")

    def __init__(self, path: str | Path) -> None:
        self._path = os.fspath(path)
        path = self.path
        try:
            self._is_folder = path.is_dir()
            head, start = self._folder_head() if self._is_folder else self._file_head()
            self.schema: str = sys.intern(head["schema"])
            self.layout = _layout(json.dumps(head["layout"]))
            members = head["members"]
            self._places = _places(tuple((name, len(sizes)) for name, sizes, _ in members))
            self._numbers = array("Q", [head["rows"][axis.name] for axis in self.layout.axes])
            self._numbers.extend(digest for _, _, digest in members)
            self._numbers.extend(size for _, sizes, _ in members for size in sizes)
            self._start, self._content = start, b""
            if not self._is_folder and path.stat().st_size != start + sum(self._sizes):
                raise ValueError("it is cut off")
        except _UNREADABLE as exc:
            raise self.unreadable(exc) from exc

    @property
    def path(self) -> Path:
        """The file or folder."""
        return Path(self._path)

    @property
    def rows(self) -> dict[str, int]:
        """Number of rows by axis."""
        return {axis.name: number for axis, number in zip(self.layout.axes, self._numbers, strict=False)}

    @property
    def _checksums(self) -> array[int]:
        first = len(self.layout.axes)
        return self._numbers[first : first + len(self._places)]

    @property
    def _sizes(self) -> array[int]:
        return self._numbers[len(self.layout.axes) + len(self._places) :]

    def _folder_head(self) -> tuple[dict[str, Any], int]:
        return json.loads((self.path / _HEAD).read_bytes()), 0

    def _file_head(self) -> tuple[dict[str, Any], int]:
        with self.path.open("rb") as file:
            if file.read(len(_MARK)) != _MARK:
                raise ValueError("it is no part")
            n_bytes = int.from_bytes(file.read(_LENGTH_BYTES), "little")
            if n_bytes > MAX_FILE_BYTES << 6:
                raise ValueError("its head is damaged")
            text = file.read(n_bytes)
            return json.loads(text), len(_MARK) + _LENGTH_BYTES + len(text)

    def unreadable(self, error: Exception) -> MergeError:
        """Build the error for a part that cannot be read because of another `error`."""
        return MergeError(
            f"Shard {self.path} cannot be read ({type(error).__name__}: {error}); process its item again."
        )

    def __contains__(self, name: str) -> bool:
        return name in self._places

    def checksum(self, name: str) -> int:
        """Checksum of the files of an array; 0 where it has none."""
        return int(self._checksums[self._places[name][0]])

    @property
    def digest(self) -> bytes:
        """The checksums of all its arrays."""
        return self._checksums.tobytes()

    def verify(self) -> None:
        """Compare all its files with what was written.

        Raises
        ------
        MergeError
            They differ.
        """
        for name in self._places:
            self.files(name)

    def release(self) -> None:
        """Let go of what was read."""
        self._content = b""

    def files(self, name: str) -> list[bytes]:
        """Content of the files of an array.

        Raises
        ------
        MergeError
            They are not what was written.
        """
        number, files = self._places[name]
        try:
            if self._is_folder:
                found = [(self.path / f"{number}.{n}").read_bytes() for n in range(len(files))]
            else:
                found = list(self._cut(files))
        except OSError as exc:
            raise self.unreadable(exc) from exc
        if checksum(found) != self._checksums[number]:
            raise self.unreadable(ValueError(f"its files of {name!r} are not what was written"))
        return found

    def _cut(self, files: range) -> Iterator[bytes]:
        self._content = self._content or self.path.read_bytes()  # small
        start = self._start + sum(self._sizes[: files.start])
        for begin, end in pairwise(accumulate(self._sizes[files.start : files.stop], initial=start)):
            yield self._content[begin:end]

    def place(self, name: str, targets: list[str]) -> None:
        """Put the files of an array where they belong, by links where the part is a folder.

        Raises
        ------
        MergeError
            One is missing, or of another size than was written.
        """
        if not self._is_folder:
            for target, data in zip(targets, self.files(name), strict=True):
                with open(target, "wb") as file:  # noqa: PTH123 - for every file
                    file.write(data)
            return
        number, files = self._places[name]
        for shard, (target, size) in enumerate(zip(targets, self._sizes[files.start : files.stop], strict=True)):
            source = f"{self.path}/{number}.{shard}"
            try:
                found = os.path.getsize(source)  # noqa: PTH202 - for every file
            except OSError as exc:
                raise self.unreadable(exc) from exc
            if found != size:
                raise self.unreadable(ValueError(f"{source} has {found} bytes of {size}"))
            link_or_copy(source, target)

    def read(self, ragged: RaggedFormat) -> Rows:
        """The item's rows under its own schema; arrays are decoded when they are asked for."""
        layout, arrays = self.layout, ragged.own(self.schema)
        lengths = {axis.name: self.decoded(layout.structure[axis.count]) for axis in layout.children}
        return Rows(
            self.rows[layout.main.name],
            LazyArrays({name: lambda s=spec: self.decoded(s) for name, spec in arrays.specs.items()}),
            lengths,
            {name: self.decoded(layout.presence(name)) for name in arrays.partial},
        )

    def decoded(self, spec: ArraySpec) -> npt.NDArray[Any]:
        """Values of an array that it has files of."""
        try:
            return self.layout.codec(spec).decode_files(self.files(spec.name), self.rows[spec.dims[0]])
        except DAMAGED as exc:
            raise self.unreadable(exc) from exc


@lru_cache(maxsize=64)
def _layout(description: str) -> Layout:
    """The layout that a head describes; the parts of a dataset share it."""
    return Layout.from_description(json.loads(description))


@lru_cache(maxsize=256)
def _places(counts: tuple[tuple[str, int], ...]) -> Mapping[str, tuple[int, range]]:
    """Number of each array, and of its files among all, given how many it has; parts with the same arrays share it."""
    stops = accumulate(count for _, count in counts)
    return {
        name: (number, range(stop - count, stop))
        for number, ((name, count), stop) in enumerate(zip(counts, stops, strict=True))
    }


class LazyArrays(Mapping[str, npt.NDArray[Any]]):
    """Arrays by name, each read when it is asked for.

    Parameters
    ----------
    readers
        By name.
    """

    def __init__(self, readers: Mapping[str, Any]) -> None:
        self._readers = readers

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        values: npt.NDArray[Any] = self._readers[name]()
        return values

    def __contains__(self, name: object) -> bool:
        return name in self._readers

    def __iter__(self) -> Iterator[str]:
        return iter(self._readers)

    def __len__(self) -> int:
        return len(self._readers)
