"""The layout of a ragged dataset: its axes, the arrays on them, and what a domain says of its own."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt

from curator_core.errors import ConfigError, MergeError
from curator_core.formats.arrays import Array, ArraySpec
from curator_core.formats.description import OPENS_AS
from curator_core.formats.shard_files import ShardCodec

Integers = npt.NDArray[np.int64]

FORMAT_VERSION: Final = 2
VALID: Final = "is_valid"
"""Array of the main axis that is false in the padding."""
_TEXT_LEVEL: Final = 1


@dataclass(frozen=True, slots=True)
class Axis:
    """An axis along which a dataset grows.

    Raises
    ------
    ConfigError
        A shard is no whole number of chunks.
    """

    name: str
    """Name of the dimension."""
    chunk_rows: int
    """Rows that a reader loads at once."""
    shard_rows: int
    """Rows of a file, a multiple of `chunk_rows`."""

    def __post_init__(self) -> None:
        """Raise `ConfigError` where the sizes do not fit."""
        if self.chunk_rows < 1 or self.shard_rows < 1 or self.shard_rows % self.chunk_rows:
            raise ConfigError(
                f"shard_rows must be a multiple of chunk_rows, got {self.shard_rows!r} and {self.chunk_rows!r}."
            )

    def n_shards(self, n_rows: int) -> int:
        """Number of files that some rows take."""
        return -(-n_rows // self.shard_rows)

    @property
    def count(self) -> str:
        """Name of the array with the number of its rows in each sample, and of columns that count them."""
        return f"n_{self.name}s"

    @property
    def start(self) -> str:
        """Name of the array with the first row of each sample."""
        return f"{self.name}_start"


@dataclass(frozen=True)
class Layout:
    """How the arrays of a ragged dataset are cut.

    Raises
    ------
    ConfigError
        There is no such layout.
    """

    axes: tuple[Axis, ...]
    """The main axis, with a row a sample, then those whose rows belong to samples."""
    items_per_segment: int = 1
    """Items that share a segment, on average."""
    level: int = -1
    """Level of Zstandard for arrays of numbers: -1 is decoded ten times as fast as 1, in hardly more bytes."""

    def __post_init__(self) -> None:
        """Raise `ConfigError` where the sizes do not fit."""
        if self.items_per_segment < 1:
            raise ConfigError(f"items_per_segment must be at least 1, got {self.items_per_segment!r}.")
        if len({axis.name for axis in self.axes}) < len(self.axes) or not self.axes:
            raise ConfigError(f"The axes need names of their own, got {[axis.name for axis in self.axes]!r}.")

    @property
    def main(self) -> Axis:
        """The axis with a row a sample."""
        return self.axes[0]

    @property
    def children(self) -> tuple[Axis, ...]:
        """The axes whose rows belong to samples."""
        return self.axes[1:]

    @cached_property
    def by_name(self) -> dict[str, Axis]:
        """Axes by name."""
        return {axis.name: axis for axis in self.axes}

    @cached_property
    def signature(self) -> str:
        """Changes with whatever the bytes of a segment depend on, apart from its items."""
        cut = [[axis.name, axis.chunk_rows, axis.shard_rows] for axis in self.axes]
        return hashlib.sha256(json.dumps([FORMAT_VERSION, cut, self.level]).encode()).hexdigest()[:16]

    def described(self) -> dict[str, Any]:
        """What `from_description` takes, as JSON."""
        axes = {axis.name: {"chunk_rows": axis.chunk_rows, "shard_rows": axis.shard_rows} for axis in self.axes}
        return {"axes": axes, "items_per_segment": self.items_per_segment, "compression_level": self.level}

    @classmethod
    def from_description(cls, given: Mapping[str, Any]) -> Self:
        """The layout that `described` describes.

        Raises
        ------
        ConfigError
            There is no such layout.
        """
        try:
            axes = tuple(
                Axis(name, int(cut["chunk_rows"]), int(cut["shard_rows"])) for name, cut in given["axes"].items()
            )
            return cls(axes, int(given["items_per_segment"]), int(given["compression_level"]))
        except (LookupError, TypeError, ValueError, AttributeError) as exc:
            raise ConfigError(f"No layout of a dataset is described: {type(exc).__name__}: {exc}") from exc

    def shards(self, spec: ArraySpec, first: int, n_rows: int) -> range:
        """Numbers of the files that some rows of an array take, given that of the first."""
        return range(first, first + self.by_name[spec.dims[0]].n_shards(n_rows))

    def codec(self, spec: ArraySpec) -> ShardCodec:
        """How the files of an array are written."""
        axis = self.by_name[spec.dims[0]]
        level = _TEXT_LEVEL if spec.is_text else self.level
        return ShardCodec(spec.dtype, spec.row_shape, axis.chunk_rows, axis.shard_rows, level)

    @cached_property
    def structure(self) -> dict[str, ArraySpec]:
        """The arrays of every dataset that do not depend on where its rows lie."""
        counts = (ArraySpec(axis.count, "int64", (self.main.name,)) for axis in self.children)
        flag = ArraySpec(VALID, "bool", (self.main.name,))
        return {spec.name: spec for spec in (flag, *counts)}

    def starts(self) -> dict[str, ArraySpec]:
        """The arrays with the first row of each sample, by axis."""
        return {axis.name: ArraySpec(axis.start, "int64", (self.main.name,)) for axis in self.children}

    def presence(self, name: str) -> ArraySpec:
        """The array that says which samples have a value in another one."""
        return ArraySpec(f"present/{name}", "bool", (self.main.name,))


@dataclass(frozen=True)
class Arrays:
    """The arrays that hold some items."""

    specs: Mapping[str, ArraySpec]
    """By name, in order; the first dimension of each is its axis."""
    partial: frozenset[str] = frozenset()
    """Those in which some sample has no value."""


@dataclass(frozen=True)
class Rows:
    """Consecutive samples, as they are given to a dataset or read from it."""

    n_rows: int
    """Number of samples."""
    values: Mapping[str, Array]
    """Values by array, ``(n_rows_of_its_axis, *row_shape)``; strings as object arrays."""
    lengths: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)
    """Number of rows of each sample by axis, ``(n_rows,)``, for the axes after the first."""
    present: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)
    """Which samples have a value by array, ``(n_rows,)``, for the partial ones."""

    def n_on(self, axis: str) -> int:
        """Number of rows on an axis."""
        return int(self.lengths[axis].sum()) if axis in self.lengths else self.n_rows


def stored_arrays(layout: Layout, arrays: Arrays) -> dict[str, ArraySpec]:
    """All arrays whose bytes do not depend on where they lie, in the order of their checksums."""
    presence = (layout.presence(name) for name in sorted(arrays.partial))
    return layout.structure | dict(arrays.specs) | {spec.name: spec for spec in presence}


def structure(layout: Layout, rows: Rows) -> dict[str, Array]:
    """Values of the arrays that every dataset has."""
    found: dict[str, Array] = {VALID: np.ones(rows.n_rows, bool)}
    return found | {axis.count: rows.lengths[axis.name] for axis in layout.children}


class RaggedFormat(ABC):
    """What a domain says of its ragged datasets.

    An item's rows are stored under its own *schema*, a text that the domain writes and reads; the arrays of a dataset
    hold the items of all its schemas. A domain whose items all have the same arrays uses `FixedFormat`.

    Parameters
    ----------
    layout
        How arrays are cut.
    """

    name: str
    """Attribute ``format`` of the dataset."""
    schema: str = ""
    """Schema of items for which none is given."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout

    @abstractmethod
    def own(self, schema: str) -> Arrays:
        """The arrays of an item under its own schema."""

    @abstractmethod
    def joined(self, schemas: Sequence[str]) -> Arrays:
        """The arrays that hold all items, given the different schemas of those with rows, in any order."""

    def attributes(self, arrays: Arrays) -> dict[str, Any]:
        """What else is said of a dataset with these arrays."""
        return {}

    def convert(self, rows: Rows, schema: str, arrays: Arrays, names: Iterable[str]) -> Rows:
        """Rows of an item under its own schema as some arrays of the dataset hold them; those it lacks are left out."""
        return Rows(rows.n_rows, {n: rows.values[n] for n in names if n in rows.values}, rows.lengths, rows.present)

    def restore(self, rows: Rows, schema: str, arrays: Arrays) -> Rows:
        """Rows of an item under its own schema, given what `convert` made of them for the arrays of a dataset."""
        return rows


class FixedFormat(RaggedFormat):
    """A domain whose items all have the same arrays.

    Parameters
    ----------
    name
        Attribute ``format`` of the dataset.
    specs
        The arrays; the first dimension of each is its axis.
    layout
        How they are cut.

    Raises
    ------
    ConfigError
        An array has the name of one that every dataset has, or an axis that the layout lacks.
    """

    def __init__(self, name: str, specs: Sequence[ArraySpec], layout: Layout) -> None:
        super().__init__(layout)
        self.name = name
        self._arrays = Arrays({spec.name: spec for spec in specs})
        described = [[s.name, s.dtype, s.dims, s.row_shape, dict(s.attributes)] for s in specs]
        self.schema = json.dumps(described, separators=(",", ":"))
        reserved = {*layout.structure, *(spec.name for spec in layout.starts().values()), "items", "segments"}
        for spec in specs:
            if spec.name in reserved or spec.name.partition("/")[0] in ("items", "segments", "present"):
                raise ConfigError(f"{name}: the name {spec.name!r} is that of an array that every dataset has.")
            if spec.dims[0] not in layout.by_name:
                raise ConfigError(
                    f"{name}: {spec.name!r} is along {spec.dims[0]!r}, not one of {list(layout.by_name)}."
                )

    def attributes(self, arrays: Arrays) -> dict[str, Any]:
        return {OPENS_AS: "curator-ragged"}

    def own(self, schema: str) -> Arrays:
        return self.joined([schema])

    def joined(self, schemas: Sequence[str]) -> Arrays:
        if any(schema != self.schema for schema in schemas):
            raise MergeError(
                f"{self.name}: an item was written with other arrays than the sink has now. Raise the version of the "
                "sink, so that all items are processed again."
            )
        return self._arrays
