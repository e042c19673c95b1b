"""A published dataset of slots, as the next publication and its readers find it."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from itertools import product
from math import prod
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from curator_core.datasets.aligned.axis import SlotAxis
from curator_core.datasets.aligned.codec import Array, ShardChunks, grid_fill
from curator_core.datasets.aligned.keyed.axis import key_axis
from curator_core.datasets.aligned.schema import FORMAT_VERSION, Rows, Schema, SlotArray
from curator_core.datasets.aligned.slots import NOBODY, Slots, Status
from curator_core.datasets.contents import item_version
from curator_core.errors import ComponentError, ObjectStoreError
from curator_core.formats.arrays import TEXT, ArraySpec
from curator_core.formats.described import METADATA
from curator_core.formats.description import require_version
from curator_core.formats.zarr_metadata import UNREADABLE, read_table
from curator_core.storage.base import OutputLocation

HIDDEN: Final = "hidden"
"""Group of what is kept, and is not shown."""
FAILED = "failed"
"""State of an item whose slots are kept from before it changed."""
ITEM_COLUMNS = ("key", "version", "fingerprint", "split")


def shard_grid(array: SlotArray, n_slots: int) -> tuple[int, ...]:
    """Number of files along every axis of an array."""
    return tuple(-(-n // size) for n, size in zip((n_slots, *array.row_shape), array.shard, strict=True))


def stored_name(name: str, aside: Collection[str]) -> str:
    """Where an array along the slots is in the dataset, given those that are kept aside."""
    return f"{HIDDEN}/variables/{name}" if name in aside else name


def shard_key(array: SlotArray, position: Sequence[int], aside: Collection[str] = ()) -> str:
    """Name of a file of an array, relative to the dataset, given the arrays that are kept aside."""
    return f"{stored_name(array.name, aside)}/c/{'/'.join(map(str, array.stored_position(position)))}"


def item_specs() -> dict[str, ArraySpec]:
    """The arrays with what is known of the items."""
    return {name: ArraySpec(f"items/{name}", TEXT, ("item",)) for name in (*ITEM_COLUMNS, "state")}


def is_made_by(config_hash: str, key: str, version: str, mark: str) -> bool:
    """Whether a configuration made an item of a dataset, given its version and fingerprint there."""
    return version in (item_version(key, mark or None, config_hash), item_version(key, mark, config_hash))


class PublishedAligned:
    """A published dataset of slots.

    Parameters
    ----------
    location
        Where it is.
    format_name
        What its attribute ``format`` must be.

    Raises
    ------
    ComponentError
        It is another's, damaged, or of another version.
    """

    def __init__(self, location: OutputLocation, format_name: str) -> None:
        self._location = location
        self.format_name = format_name
        try:
            root = json.loads(location.read(METADATA))
            about = root["attributes"]
            found = about.get("format"), about.get("format_version")
        except ObjectStoreError:  # no damage
            raise
        except UNREADABLE as exc:
            raise ComponentError(f"There is no Zarr group at {location.path}: {exc}", file=location.path) from exc
        if found[0] != format_name:
            raise ComponentError(f"{location.path} is no dataset of {format_name!r}.", file=location.path)
        require_version(location.path, found[1], FORMAT_VERSION)
        with self.reading("its description"):
            self.nodes: dict[str, dict[str, Any]] = root["consolidated_metadata"]["metadata"]
            self._about: dict[str, Any] = about["curator"]
            self.content_hash: str = about["content_hash"]
            self.level: int = self._about["level"]
            self.n_slots: int = self._about["n_slots"]
            self.n_items: int = self._about["n_items"]

    @property
    def path(self) -> str:
        """Where it is."""
        return self._location.path

    @contextmanager
    def reading(self, what: str) -> Iterator[None]:
        """Within, what cannot be read is an error that names the dataset."""
        try:
            yield
        except ObjectStoreError:  # no damage
            raise
        except UNREADABLE as exc:
            reason = str(exc) or type(exc).__name__
            raise ComponentError(
                f"The dataset {self.path} is damaged: {what} cannot be read: {reason}.", file=self.path
            ) from exc

    @cached_property
    def axis(self) -> SlotAxis:
        """Its axis."""
        with self.reading("its axis"):
            described = self._about["axis"]
            if described.get("is_keyed"):
                owner = self.slots.owner.max(axis=1, initial=NOBODY)
                return key_axis(described["name"], [self.keys[number] for number in owner.tolist()])
            return SlotAxis.from_description(described, self.nodes[described["name"]]["attributes"])

    @cached_property
    def arrays(self) -> dict[str, SlotArray]:
        """Its arrays along the slots, by name."""
        with self.reading("its description"):
            given = self._about["schema"]["arrays"]
            return {n: SlotArray.from_description(n, a, self._attributes(n)) for n, a in given.items()}

    def _attributes(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.nodes[stored_name(name, self.aside)].get("attributes", {})
        return found

    @cached_property
    def aside(self) -> frozenset[str]:
        """Variables that are kept, and are not shown, since items lack them."""
        with self.reading("its description"):
            return frozenset(self._about.get("aside", ()))

    @cached_property
    def schema(self) -> Schema:
        """What it is made of."""
        with self.reading("its description"):
            given = self._about["schema"]
            attributes = {name: self._attributes(name) for name in (*given["arrays"], *given["fixed"])}
            attributes = {n: {k: v for k, v in a.items() if k != "_FillValue"} for n, a in attributes.items()}
            attributes[given["slot"][0]] = self.nodes[given["slot"][0]]["attributes"]
            values = {name: self.fixed(name) for name in given["fixed"]}
            return Schema.assembled(given, attributes, values)

    def fixed(self, name: str) -> Array:
        """Values of an array that is not cut along the slots."""
        node = self.nodes[name]
        shape = tuple(node["shape"])
        dtype = TEXT if node["data_type"] == TEXT else np.dtype(node["data_type"]).name
        if not shape:
            spec = ArraySpec(name, dtype, ("one",))
            return read_table(spec, 1, lambda _: self._location.read(f"{name}/c")).reshape(())
        spec = ArraySpec(name, dtype, tuple(node["dimension_names"]), shape[1:])
        return read_table(spec, shape[0], self._location.read)

    @cached_property
    def items(self) -> dict[str, list[str]]:
        """Columns of the table of items."""
        with self.reading("the list of its items"):
            specs = item_specs()
            return {n: read_table(s, self.n_items, self._location.read).tolist() for n, s in specs.items()}

    @property
    def keys(self) -> list[str]:
        """Keys of its items, in their order."""
        return self.items["key"]

    def versions(self) -> dict[str, str]:
        """Item version by key, in order, without those that failed since.

        Raises
        ------
        ComponentError
            It is damaged, or holds an item twice.
        """
        versions = dict(zip(self.keys, self.items["version"], strict=True))
        if len(versions) < len(self.keys):
            raise ComponentError(f"The dataset is damaged: {self.path} holds items more than once.", file=self.path)
        return {key: version for key, version in versions.items() if key not in self.failed}

    def is_made_by(self, config_hash: str) -> bool:
        """Whether its first item was made by a configuration."""
        columns = zip(*(self.items[name][:1] for name in ("key", "version", "fingerprint")), strict=True)
        return bool(config_hash) and any(is_made_by(config_hash, *given) for given in columns)

    @cached_property
    def failed(self) -> dict[str, str]:
        """Item version by key of those whose slots are kept, since as they are now they failed."""
        with self.reading("the list of its items"):
            states = read_table(item_specs()["state"], self.n_items, self._location.read).tolist()
        if FAILED not in states:
            return {}
        columns = zip(self.keys, self.items["version"], states, strict=True)
        return {key: version for key, version, state in columns if state == FAILED}

    def splits(self) -> dict[str, str]:
        """Split by key of the items that are in one."""
        return {key: split for key, split in zip(self.keys, self.items["split"], strict=True) if split}

    @cached_property
    def hidden(self) -> dict[str, int]:
        """Items of whose slots others give some: number of what is kept of them, by key."""
        with self.reading("its description"):
            return {self.keys[item]: number for number, (item, _) in enumerate(self._about.get("hidden", ()))}

    def hidden_part(self, key: str) -> bytes:
        """The part of an item of whose slots others give some.

        Raises
        ------
        ComponentError
            It is missing or damaged.
        """
        number = self.hidden[key]
        with self.reading(f"hidden/{number}"):
            size = int(self._about["hidden"][number][1])
            spec = ArraySpec(f"hidden/{number}", "uint8", ("byte",))
            return np.asarray(read_table(spec, size, self._location.read), np.uint8).tobytes()

    def rows_of(self, number: int) -> tuple[Schema, Rows]:
        """What an item gives, by its position.

        Raises
        ------
        ComponentError
            A file is missing or damaged.
        """
        is_own = self.slots.owner == number
        positions = np.flatnonzero(is_own.any(axis=1))
        names = [name for name, is_used in zip(self.names, is_own.any(axis=0).tolist(), strict=True) if is_used]
        columns = {name: self.names.index(name) for name in names}
        n_cells = {n: np.where(is_own[:, c], self.slots.n_cells[:, c], 0)[positions] for n, c in columns.items()}
        provisional = {n: (self.slots.provisional[:, c] & is_own[:, c])[positions] for n, c in columns.items()}
        values = {name: self._rows(self.arrays[name], positions, n_cells[name] > 0) for name in names}
        slots = self.axis.coordinates(self.n_slots)[positions]
        return self.schema.restricted(names), Rows(slots, values, n_cells, provisional)

    def rows_at(self, name: str, positions: npt.NDArray[np.int64]) -> Array:
        """Values of an array at some slots, rising, that items gave.

        Raises
        ------
        ComponentError
            A file is missing or damaged.
        """
        return self._rows(self.arrays[name], positions, np.ones(len(positions), np.bool_))

    def _rows(self, array: SlotArray, positions: npt.NDArray[np.int64], is_own: npt.NDArray[np.bool_]) -> Array:
        codec = array.codec(self.level)
        found: Array = np.full(
            (len(positions), *array.row_shape), grid_fill(array.dtype), object if array.dtype == TEXT else array.dtype
        )
        for place in product(*map(range, shard_grid(array, self.n_slots))):
            rows = np.flatnonzero((positions // array.shard[0] == place[0]) & is_own)
            if not len(rows):
                continue
            chunks = self.shard(array, place)
            for number, at in enumerate(product(*map(range, codec.grid))):
                own = rows[(positions[rows] % array.shard[0]) // array.chunk[0] == at[0]]
                starts = [
                    (p * g + n) * c
                    for p, g, n, c in zip(place[1:], codec.grid[1:], at[1:], array.chunk[1:], strict=True)
                ]
                cut = [
                    slice(s, min(s + c, n)) for s, c, n in zip(starts, array.chunk[1:], array.row_shape, strict=True)
                ]
                if not len(own) or any(c.start >= c.stop for c in cut):
                    continue
                with self.reading(shard_key(array, place, self.aside)):
                    block = codec.decode(chunks[number] or b"")
                inside = (positions[own] % array.chunk[0], *(np.arange(c.stop - c.start) for c in cut))
                found[np.ix_(own, *(np.arange(c.start, c.stop) for c in cut))] = block[np.ix_(*inside)]
        return found

    @cached_property
    def status(self) -> npt.NDArray[np.uint8]:
        """State of every slot, ``(n_slots, n_variables)``."""
        return np.asarray(self._table("status", "uint8"), np.uint8)

    @cached_property
    def slots(self) -> Slots:
        """Who gave what."""
        with self.reading("the table of its slots"):
            owner, n_cells = self._table("item", "int64"), self._table("n_cells", "int64")
            return Slots.assembled(self.names, self.status, owner, n_cells, self.status == Status.PROVISIONAL)

    @property
    def names(self) -> list[str]:
        """Names of its arrays along the slots, with those that are kept aside, in the order of the tables."""
        return list(self._about["schema"]["arrays"])

    def _table(self, name: str, dtype: str) -> Array:
        slot = self._about["axis"]["name"]
        shown = [each for each in self.names if each not in self.aside]
        found: list[Array] = []
        with self.reading("the table of its slots"):
            for group, names in ((slot, shown), (HIDDEN, self.aside)):
                spec = ArraySpec(f"slots/{group}/{name}", dtype, (slot, "variable"), (len(names),))
                found += [read_table(spec, self.n_slots, self._location.read)] if names else []
        order = [*shown, *sorted(self.aside)]
        return np.concatenate(found, axis=1)[:, [order.index(each) for each in self.names]] if self.aside else found[0]

    @cached_property
    def checksums(self) -> dict[str, npt.NDArray[np.uint64]]:
        """Checksum of every file of an array, by its position; 0 where there is none."""
        with self.reading("the checksums of its files"):
            found = {}
            for name, array in self.arrays.items():
                grid = shard_grid(array, self.n_slots)
                spec = ArraySpec(f"checksums/{name}", "uint64", ("file",))
                values = read_table(spec, prod(grid), self._location.read)
                found[name] = np.asarray(values, np.uint64).reshape(grid)
            return found

    def checksum(self, array: SlotArray, position: tuple[int, ...]) -> int:
        """Checksum of a file of an array; 0 where there is none."""
        found = self.checksums[array.name]
        inside = all(n < size for n, size in zip(position, found.shape, strict=True))
        return int(found[position]) if inside else 0

    def keep(self, array: SlotArray, position: tuple[int, ...], target: Path) -> None:
        """Take a file of an array into a staged dataset.

        Raises
        ------
        ComponentError
            It is missing.
        """
        key = shard_key(array, position, self.aside)
        try:
            self._location.keep(key, target)
        except FileNotFoundError as exc:
            raise ComponentError(f"The dataset is damaged: {self.path}: {key} is missing.", file=self.path) from exc

    def shard(self, array: SlotArray, position: tuple[int, ...]) -> ShardChunks:
        """The chunks of a file of an array, as they are stored.

        Raises
        ------
        ComponentError
            It is missing or damaged.
        """
        key = shard_key(array, position, self.aside)
        with self.reading(key):
            return array.codec(self.level).chunks(self._location.read(key))

    def values(self, name: str) -> Iterator[tuple[str, str, Array]]:
        """Values of an array, item by item and chunk by chunk: key of the item, name, values.

        Raises
        ------
        ComponentError
            A file is missing or damaged.
        """
        array, column = self.schema.arrays[name], self.names.index(name)
        codec = array.codec(self.level)
        for position in product(*map(range, shard_grid(array, self.n_slots))):
            first = position[0] * array.shard[0]
            owner = self.slots.owner[first : first + array.shard[0], column]
            if not self.checksum(array, position):
                continue
            chunks = self.shard(array, position)
            for number, place in enumerate(product(*map(range, codec.grid))):
                rows = owner[place[0] * array.chunk[0] : (place[0] + 1) * array.chunk[0]]
                at = tuple(p * g + n for p, g, n in zip(position[1:], codec.grid[1:], place[1:], strict=True))
                shape = tuple(min(c, n - a * c) for c, n, a in zip(array.chunk[1:], array.row_shape, at, strict=True))
                if min(shape, default=1) < 1 or (rows == NOBODY).all():
                    continue
                with self.reading(shard_key(array, position, self.aside)):
                    block = codec.decode(chunks[number] or b"")[(slice(None), *map(slice, shape))]
                for item in np.unique(rows[rows != NOBODY]).tolist():
                    yield self.keys[item], name, block[: len(rows)][rows == item]
