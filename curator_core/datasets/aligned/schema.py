"""What a dataset of slots is made of: dimensions, arrays along the slots, and arrays that are the same in all."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import prod
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt

from curator_core.datasets.aligned.axis import SlotAxis, are_same_counts
from curator_core.datasets.aligned.codec import Array, GridCodec, folded
from curator_core.errors import ComponentError, ConfigError
from curator_core.formats.arrays import TEXT, ArraySpec

FORMAT_VERSION: Final = 2
CHUNK_BYTES: Final = 4 << 20
"""Of a chunk, where none is given: small enough to be read at random, large enough for an object store."""
_MAX_CHUNK_BYTES: Final = 6_000_000
SHARD_BYTES: Final = 128 << 20
"""Of what a file holds in memory, where nothing is given."""
ALONE_BYTES: Final = 1 << 20
"""An item of at least this size is a file of its own, where every item has one slot."""
_MAX_CHUNK_SLOTS: Final = 8192
_MAX_SHARD_CHUNKS: Final = 1024
MEANING: Final = ("standard_name", "cell_methods", "GRIB_stepType", "positive")
"""Attributes that say which quantity a variable is."""
_COUNTED: Final = ("units", "calendar")
_RESERVED: Final = ("items", "slots", "checksums", "hidden")


class SchemaError(ComponentError):
    """An item is of another kind than its dataset: other dimensions, coordinates, units or types."""


@dataclass(frozen=True)
class SlotArray:
    """An array along the slots."""

    name: str
    """Its name."""
    dtype: str
    """Name of a NumPy type, or `TEXT`."""
    dims: tuple[str, ...]
    """Names of the dimensions, that of the slots first."""
    row_shape: tuple[int, ...]
    """Length along the others."""
    chunk: tuple[int, ...] = ()
    """Shape of a chunk."""
    shard: tuple[int, ...] = ()
    """Shape of what a file holds."""
    attributes: Mapping[str, Any] = field(default_factory=dict)
    """What is said of it, such as its units."""
    is_coordinate: bool = False
    """Whether it is a coordinate, such as the bounds of a time."""
    inner: Mapping[str, int] = field(default_factory=dict)
    """Lengths of the dimensions within that of the slots, of which a slot is one combination."""

    @property
    def stored_dims(self) -> tuple[str, ...]:
        """Names of the dimensions of the array that is stored."""
        return (self.dims[0], *self.inner, *self.dims[1:])

    def stored(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """A shape along slots and other dimensions as that of the array that is stored."""
        return (*(folded(shape[0], list(self.inner.values())) or ()), *shape[1:])

    def stored_position(self, position: Sequence[int]) -> tuple[int, ...]:
        """The place of a file among those of the array that is stored, by its place along slots and the others."""
        shard, within = self.stored(self.shard), list(self.inner.values())
        grid = [n // size for n, size in zip(within, shard[1:], strict=False)]
        outer, rest = divmod(position[0], prod(grid))
        return (outer, *(int(n) for n in np.unravel_index(rest, grid)), *position[1:]) if grid else tuple(position)

    @property
    def row_bytes(self) -> int:
        """Size of a slot in memory; a guess for strings."""
        return prod(self.row_shape) * (64 if self.dtype == TEXT else np.dtype(self.dtype).itemsize)

    @property
    def n_cells(self) -> int:
        """Number of values in a slot."""
        return prod(self.row_shape)

    def codec(self, level: int) -> GridCodec:
        """How it is stored."""
        return GridCodec(self.dtype, self.chunk, self.shard, level)

    def described(self) -> dict[str, Any]:
        """What `from_description` takes, as JSON, but for the attributes."""
        return {
            "dtype": self.dtype,
            "dims": list(self.dims),
            "row_shape": list(self.row_shape),
            "chunk": list(self.chunk),
            "shard": list(self.shard),
            "is_coordinate": self.is_coordinate,
            **({"inner": dict(self.inner)} if self.inner else {}),
        }

    @classmethod
    def from_description(cls, name: str, given: Mapping[str, Any], attributes: Mapping[str, Any]) -> Self:
        """The array that `described` describes."""
        row_shape, chunk, shard = (tuple(given[key]) for key in ("row_shape", "chunk", "shard"))
        about = dict(attributes), bool(given["is_coordinate"]), dict(given.get("inner", {}))
        return cls(name, given["dtype"], tuple(given["dims"]), row_shape, chunk, shard, *about)


@dataclass(frozen=True)
class FixedArray:
    """An array that is the same in every item: the coordinate of a dimension, a mask, a map projection."""

    name: str
    """Its name."""
    dims: tuple[str, ...]
    """Names of its dimensions; none for a single value."""
    values: Array
    """Its values; strings as an object array."""
    attributes: Mapping[str, Any] = field(default_factory=dict)
    """What is said of it."""
    is_coordinate: bool = True
    """Whether it is a coordinate."""

    @property
    def spec(self) -> ArraySpec:
        """How it is stored."""
        dtype = TEXT if self.values.dtype.kind in "OU" else self.values.dtype.name
        shape = self.values.shape
        return ArraySpec(self.name, dtype, self.dims, shape[1:], dict(self.attributes))


@dataclass(frozen=True)
class Schema:
    """What an item, or a dataset, is made of, apart from its values along the slots."""

    slot: str
    """The dimension of the slots."""
    slot_dtype: str
    """Type of its coordinate."""
    slot_attributes: Mapping[str, Any]
    """What is said of its coordinate, such as units and calendar."""
    kinds: Mapping[str, str]
    """Kind of the other dimensions: ``horizontal``, ``longitude`` (what differs by 360 is the same) or ``other``."""
    arrays: Mapping[str, SlotArray]
    """The arrays along the slots."""
    fixed: Mapping[str, FixedArray]
    """The others."""
    attributes: Mapping[str, Any] = field(default_factory=dict)
    """What is said of the whole."""

    def __post_init__(self) -> None:
        """Raise `SchemaError` where a name cannot be one of an array."""
        for name in (*self.arrays, *self.fixed, self.slot):
            if "/" in name or name.startswith("__") or name in _RESERVED or not name.strip("."):
                raise SchemaError(f"{name!r} cannot be the name of an array in a Zarr dataset: rename it.")

    @property
    def attributes_of(self) -> dict[str, Mapping[str, Any]]:
        """Attributes of all arrays by name."""
        found = {name: array.attributes for name, array in self.arrays.items()}
        found |= {name: array.attributes for name, array in self.fixed.items()}
        return {**found, self.slot: self.slot_attributes}

    @property
    def coordinates(self) -> list[str]:
        """Names of the coordinates that are not those of dimensions."""
        named = [name for name, array in self.arrays.items() if array.is_coordinate]
        named += [name for name, array in self.fixed.items() if array.is_coordinate]
        return [name for name in named if name not in self.sizes]

    @cached_property
    def sizes(self) -> dict[str, int]:
        """Length of the dimensions, without that of the slots."""
        found: dict[str, int] = {}
        for array in self.arrays.values():
            found.update(zip(array.dims[1:], array.row_shape, strict=True))
        for fixed in self.fixed.values():
            found.update(zip(fixed.dims, fixed.values.shape, strict=True))
        return found

    @cached_property
    def digest(self) -> str:
        """Changes with whatever decides where values belong and how they are stored."""
        found = hashlib.sha256(
            json.dumps([self.slot, self.slot_dtype, *self.reference, self._described_arrays()]).encode()
        )
        for name, fixed in sorted(self.fixed.items()):
            about = [str(fixed.attributes.get(key, "")) for key in _COUNTED]
            found.update(f"{name} {fixed.dims} {fixed.values.dtype} {fixed.values.shape} {about}".encode())
            values = fixed.values
            found.update(json.dumps(values.tolist()).encode() if values.dtype.kind in "OU" else values.tobytes())
        return found.hexdigest()

    @property
    def row_dtype(self) -> str:
        """Type of the slots of one item: its own are 0 where its key names the only one."""
        return "int64" if self.slot_dtype == TEXT else self.slot_dtype

    @property
    def reference(self) -> tuple[str, str]:
        """Units and calendar of the coordinate of the slots."""
        return str(self.slot_attributes.get("units", "")), str(self.slot_attributes.get("calendar", ""))

    @property
    def default_slot(self) -> str:
        """The dimension of the slots where none is declared: ``time``, or else one that is dated."""
        is_dated = " since " in self.reference[0] and not {"time"} & {*self.arrays, *self.fixed}
        return self.slot if is_dated else "time"

    def require_axis(self, axis: SlotAxis, slots: Array) -> None:
        """Raise `SchemaError` where the coordinate of some slots counts otherwise than an axis."""
        own = str(axis.attributes.get("units", "")), str(axis.attributes.get("calendar", ""))
        if own[0] and not are_same_counts(own, self.reference, slots):
            raise SchemaError(
                f"{self.slot!r} is in {' '.join(self.reference)!r}, the axis that is declared in {' '.join(own)!r}. A "
                "dataset has one calendar and one unit: curate such files into one of their own, or convert them first."
            )

    def restricted(self, names: Collection[str]) -> Self:
        """The same with some of its arrays along the slots; all that it has is in the order of its names."""
        arrays = {name: array for name, array in sorted(self.arrays.items()) if name in names}
        return replace(
            self, kinds=dict(sorted(self.kinds.items())), arrays=arrays, fixed=dict(sorted(self.fixed.items()))
        )

    def _described_arrays(self) -> dict[str, Any]:
        return {
            name: [array.described(), *(str(array.attributes.get(key, "")) for key in (*_COUNTED, *MEANING))]
            for name, array in sorted(self.arrays.items())
        }

    def described(self) -> dict[str, Any]:
        """What `assembled` takes, as JSON, without values and attributes of arrays."""
        return {
            "slot": [self.slot, self.slot_dtype],
            "kinds": dict(self.kinds),
            "arrays": {name: array.described() for name, array in self.arrays.items()},
            "fixed": {name: [list(f.dims), f.is_coordinate] for name, f in self.fixed.items()},
            "attributes": dict(self.attributes),
        }

    @classmethod
    def assembled(
        cls, given: Mapping[str, Any], attributes: Mapping[str, Mapping[str, Any]], values: Mapping[str, Array]
    ) -> Self:
        """The schema that `described` describes, given attributes of all arrays, and values of the fixed ones."""
        slot, dtype = given["slot"]
        arrays = {n: SlotArray.from_description(n, a, attributes[n]) for n, a in given["arrays"].items()}
        fixed = {
            n: FixedArray(n, tuple(dims), values[n], dict(attributes[n]), is_coordinate)
            for n, (dims, is_coordinate) in given["fixed"].items()
        }
        return cls(slot, dtype, attributes[slot], given["kinds"], arrays, fixed, given["attributes"])


@dataclass(frozen=True)
class Rows:
    """The slots of one item, under its schema."""

    slots: Array
    """Coordinate values, rising."""
    values: Mapping[str, Array]
    """Values of every array, ``(n_slots, *row_shape)``; fill values where there are none."""
    n_cells: Mapping[str, npt.NDArray[np.int64]]
    """How many values of each slot the source gave, by array; 0 where it gave none."""
    provisional: Mapping[str, npt.NDArray[np.bool_]] = field(default_factory=dict)
    """Which slots of an array will be replaced by final ones; none of those that are left out."""


@dataclass(frozen=True)
class Cutting:
    """How arrays are cut and stored.

    Raises
    ------
    ConfigError
        A size is none.
    """

    chunks: Mapping[str, int] | str = "auto"
    """Length of a chunk by dimension; the whole length along those that are left out."""
    shards: Mapping[str, int] | str = "auto"
    """Length of what a file holds by dimension."""
    dtype: Mapping[str, str] | str | None = None
    """Type by array, or of all arrays of floating-point numbers."""
    level: int = 1
    """Level of Zstandard."""
    inner: Mapping[str, int] = field(default_factory=dict)
    """Lengths of the dimensions within that of the slots."""
    is_keyed: bool = False
    """Whether every item has one slot, which others that come before it move: large ones are files of their own."""

    def __post_init__(self) -> None:
        """Raise `ConfigError` where a size is none."""
        for name, dtype in self.dtype.items() if isinstance(self.dtype, Mapping) else [("dtype", self.dtype)]:
            if dtype is not None and not _is_type(dtype):
                raise ConfigError(
                    f"dtype: {dtype!r} of {name!r} is no type of numbers that NumPy knows, such as float32."
                )
        if isinstance(self.dtype, str) and np.dtype(self.dtype).kind != "f":
            raise ConfigError(f"dtype {self.dtype!r} would be that of all floating-point variables: give it by name.")
        for what, given in (("chunks", self.chunks), ("shards", self.shards)):
            if given == "auto":
                continue
            if not isinstance(given, Mapping) or any(type(n) is not int or n < 1 for n in given.values()):
                raise ConfigError(f"{what} must be 'auto' or lengths of at least 1 by dimension, not {given!r}.")

    def cut(self, array: SlotArray) -> SlotArray:
        """An array with its type, chunks and shards.

        Raises
        ------
        ConfigError
            A shard is no whole number of chunks.
        """
        array = replace(array, dtype=self._dtype(array), inner=self.inner)
        chunk = self._chunk(array)
        return replace(array, chunk=chunk, shard=self._shard(array, chunk))

    def _dtype(self, array: SlotArray) -> str:
        if isinstance(self.dtype, Mapping):
            return self.dtype.get(array.name, array.dtype)
        is_float = array.dtype != TEXT and np.dtype(array.dtype).kind == "f" and not array.is_coordinate
        return self.dtype if self.dtype is not None and is_float else array.dtype

    def _chunk(self, array: SlotArray) -> tuple[int, ...]:
        if isinstance(self.chunks, Mapping) and not array.is_coordinate:
            sizes = (self.chunks.get(dim, n) for dim, n in zip(array.dims[1:], array.row_shape, strict=True))
            slots = self._slots(array.dims[0], "chunks", self.chunks, 1)
            return (slots, *(min(s, n) for s, n in zip(sizes, array.row_shape, strict=True)))
        shape, item = list(array.row_shape), max(1, array.row_bytes // max(1, array.n_cells))
        while prod(shape) * item > _MAX_CHUNK_BYTES:
            longest = shape.index(max(shape))
            shape[longest] = -(-shape[longest] // 2)
        size = max(1, prod(shape) * item)
        if self._is_alone(array):
            return (1, *shape)
        return (_fitting(max(1, min(_MAX_CHUNK_SLOTS, CHUNK_BYTES // size)), list(self.inner.values())), *shape)

    def _is_alone(self, array: SlotArray) -> bool:
        return self.is_keyed and array.row_bytes >= ALONE_BYTES

    def require_blocks(self, slot: str) -> None:
        """Raise `ConfigError` where lengths along the slots are no blocks of the dimensions within."""
        for what, given in (("chunks", self.chunks), ("shards", self.shards)):
            if isinstance(given, Mapping):
                self._slots(slot, what, given, 1)

    def _slots(self, slot: str, what: str, given: Mapping[str, int], default: int) -> int:
        """Number of slots of a length along the dimension of the slots, and along those within."""
        if not self.inner:
            return given.get(slot, default)
        lengths = (given.get(slot, 1), *(given.get(dim, n) for dim, n in self.inner.items()))
        if folded(prod(lengths), list(self.inner.values())) != lengths:
            raise ConfigError(
                f"{what} must divide {', '.join(f'{dim} ({n})' for dim, n in self.inner.items())}, and be 1 along all "
                f"dimensions before one that is divided: not {lengths}."
            )
        return prod(lengths)

    def _shard(self, array: SlotArray, chunk: tuple[int, ...]) -> tuple[int, ...]:
        if isinstance(self.shards, Mapping) and not array.is_coordinate:
            found = [self._slots(array.dims[0], "shards", self.shards, chunk[0])]
            for dim, size, n in zip(array.dims[1:], chunk[1:], array.row_shape, strict=True):
                found.append(self.shards[dim] if dim in self.shards else -(-n // size) * size)
            for dim, size, length in zip(array.dims, chunk, found, strict=True):
                if length % size:
                    raise ConfigError(
                        f"shards must be whole numbers of chunks: {array.name!r} has chunks of {size} along {dim!r}, "
                        f"so not {length} but {-(-length // size) * size}."
                    )
            return tuple(found)
        whole = [-(-n // size) * size for size, n in zip(chunk[1:], array.row_shape, strict=True)]
        if self._is_alone(array):
            return (chunk[0], *whole)
        row = array.row_bytes * prod(whole) // max(1, array.n_cells)
        n_cells = prod(n // size for n, size in zip(whole, chunk[1:], strict=True))
        n_chunks = min(SHARD_BYTES // max(1, row * chunk[0]), _MAX_SHARD_CHUNKS // n_cells)
        return (_fitting(chunk[0] * max(1, n_chunks), list(self.inner.values()), chunk[0]), *whole)


def _fitting(limit: int, inner: Sequence[int], unit: int = 1) -> int:
    """The largest number of slots, whole units up to a limit, that is a block of the dimensions within."""
    for length in range(limit - limit % unit, 0, -unit):
        if folded(length, inner) is not None:
            return length
    return unit


def _is_type(dtype: object) -> bool:
    try:
        return np.dtype(str(dtype)).kind in "iuf"
    except TypeError:
        return False
