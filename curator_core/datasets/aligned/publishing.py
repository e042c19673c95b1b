"""Publishing a dataset of slots: shards without a change are linked, the others are put together from chunks."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from curator_core.datasets.aligned.axis import InnerAxis, SlotAxis, unit_of, with_inner
from curator_core.datasets.aligned.codec import Array
from curator_core.datasets.aligned.conforming import conform, extended, joined, require_same_coordinates
from curator_core.datasets.aligned.describing import write_description
from curator_core.datasets.aligned.keyed.axis import KeyAxis, key_axis, part_axis, require_processed
from curator_core.datasets.aligned.origins import OpenParts, Origins, PartSummary, failed_items, former_owners, lacked
from curator_core.datasets.aligned.parts import Part, write_part
from curator_core.datasets.aligned.published import PublishedAligned
from curator_core.datasets.aligned.schema import Cutting, Schema, SchemaError
from curator_core.datasets.aligned.shards import ShardWriter
from curator_core.datasets.aligned.slots import NOBODY, Duplicates, Slots
from curator_core.errors import ComponentError, MergeError
from curator_core.formats.arrays import TEXT
from curator_core.pipeline.components import MergeItem
from curator_core.storage.atomic import remove
from curator_core.storage.locations import location_of

logger = logging.getLogger("curator")

_MAX_NAMED: Final = 3


@dataclass(frozen=True)
class AlignedFormat:
    """What a domain says of its datasets of slots."""

    name: str
    """Attribute ``format`` of the dataset."""
    cutting: Cutting = field(default_factory=Cutting)
    """How arrays are cut and stored."""
    axis: SlotAxis | None = None
    """The axis that was declared; without one it is learned from the items that are published first."""
    duplicates: Duplicates = field(default_factory=Duplicates)
    """Which of two items gives a slot that both have."""
    inner: tuple[InnerAxis, ...] = ()
    """Dimensions within that of the slots, as `axis` has them where it was declared."""
    slot: str | None = None
    """The dimension of the slots, where it was declared."""
    is_intersection: bool = False
    """Whether variables that an item lacks are kept aside."""

    def learned(self, name: str, slots: Array, attributes: Mapping[str, Any]) -> SlotAxis:
        """The axis of some slots, where none was declared."""
        n_within = prod(len(inner.values) for inner in self.inner)
        outer = slots // n_within * unit_of(attributes) if self.inner else slots
        return with_inner(SlotAxis.learned(name, outer, attributes), self.inner)


def publish_aligned(
    given: AlignedFormat,
    items: Sequence[MergeItem],
    previous: str | Path | None,
    path: str | Path,
    *,
    listed: Collection[str] = (),
    config_hash: str = "",
) -> None:
    """Write the dataset of some items to a new folder, from parts and from the dataset before.

    The bytes depend on the items, their versions, the axis and the cutting alone. A chunk at a time is in memory, and a
    shard of the dataset before.

    Parameters
    ----------
    given
        What the domain says of its datasets.
    items
        The items, in the order of the dataset; those without a part are taken from `previous`.
    previous
        The dataset before, if any.
    path
        Folder to create, on the file system of the parts.
    listed
        Keys of all items that the source has. The slots of one that changed, and is not among `items` since it failed,
        stay as they were, and are marked.
    config_hash
        Configuration of the items; what another one made of an item that failed is not kept.

    Raises
    ------
    MergeError
        A part, or an item of the previous dataset, is missing or damaged; items do not belong together, or two have
        the same slot.
    """
    path = Path(path)
    scratch = path.with_name(f"{path.name}-parts")  # a leftover like the staged dataset itself, should this be killed
    try:
        before, failed = _before(given, items, previous, listed, config_hash)
        _publication(given, items, failed, before, scratch=scratch, listed=listed).write(path)
    except SchemaError as exc:
        raise MergeError(str(exc)) from exc
    except MergeError:
        raise
    except ComponentError as exc:
        raise MergeError(f"The dataset {previous} cannot be used: {exc}") from exc
    finally:
        remove(scratch)


def _before(
    given: AlignedFormat,
    items: Sequence[MergeItem],
    previous: str | Path | None,
    listed: Collection[str],
    config_hash: str,
) -> tuple[PublishedAligned | None, list[MergeItem]]:
    """The dataset before, and what is kept of it for items that failed.

    ``None`` where nothing comes from it, so that grid and axis are those of the items.
    """
    if previous is None:
        return None, []
    is_new = all(item.shard is not None for item in items)
    try:
        before = PublishedAligned(location_of(previous), given.name)
        failed = failed_items(items, before, listed, config_hash)
    except ComponentError:
        if is_new:
            return None, []  # it may be damaged, and is replaced as a whole
        raise
    return (None, []) if is_new and not failed else (before, failed)


def _publication(
    given: AlignedFormat,
    items: Sequence[MergeItem],
    failed: Sequence[MergeItem],
    before: PublishedAligned | None,
    *,
    scratch: Path,
    listed: Collection[str],
) -> Publication:
    try:
        return Publication(given, Origins(items, before, failed, scratch, listed), before, scratch)
    except (ComponentError, MergeError) as exc:
        if before is None or any(item.shard is None for item in items):
            raise
        found = Publication(given, Origins(items, None, (), scratch, listed), None, scratch)
        keys = ", ".join(item.key for item in failed[:_MAX_NAMED])
        logger.warning(
            "%s: all items that are complete are on another grid than before, so that nothing is kept of %d that are "
            "not, such as %s: %s",
            *(before.path, len(failed), keys, exc),
        )
        return found


class Publication:
    """One publication of a dataset of slots.

    Parameters
    ----------
    given
        What the domain says of its datasets.
    origins
        Where the items come from.
    before
        The dataset before, if any.
    scratch
        Folder for parts that are written anew.
    """

    def __init__(self, given: AlignedFormat, origins: Origins, before: PublishedAligned | None, scratch: Path) -> None:
        self._given, self._origins, self._before, self._scratch = given, origins, before, scratch
        self._schema = self._joined()
        self._axis = self._placed_axis()
        self._conform()
        self._ranks = given.duplicates.ranks([item.key for item in origins.items])
        self._hidden: set[int] = set()
        claimed = self._claimed()
        self._schema = self._schema.restricted(claimed.used_names)
        self._n_slots = self._axis.length(claimed.n_used)
        if self._n_slots < claimed.n_used:
            raise self._too_short(claimed)
        self._slots = claimed.fitted(list(self._schema.arrays), self._n_slots)
        data = [name for name, array in self._schema.arrays.items() if not array.is_coordinate]
        self._aside = lacked(origins, before, data) if given.is_intersection else {}

    def _too_short(self, claimed: Slots) -> MergeError:
        last = claimed.owner[claimed.n_used - 1]
        item, end = self._origins.items[int(last.max())].key, self._axis.label(self._n_slots - 1)
        beyond = (self._axis if self._before is None else self._before.axis).label(claimed.n_used - 1)
        return MergeError(
            f"The axis {self._axis.name!r} that is declared ends with {end}, and the item {item!r} has {beyond}, which "
            "is in the dataset: declare a later end, or leave the item out of the source."
        )

    def write(self, path: Path) -> None:
        """Write the dataset to a new folder."""
        path.mkdir()
        parts = OpenParts(self._origins.parts, self._placed, self._moved, self._before)
        writer = ShardWriter(path, self._before, parts, self._level, self._aside)
        former, gone = former_owners(self._origins, self._before, list(self._schema.arrays), self._n_slots)
        checksums = {}
        for column, (name, array) in enumerate(self._schema.arrays.items()):
            owner = self._slots.owner[:, column]
            is_changed = self._origins.is_part[owner] | gone[: self._n_slots, column]
            is_changed |= former[: self._n_slots, column] != owner
            tail = gone[self._n_slots :, column]
            checksums[name] = writer.write(array, owner, is_changed, tail)
        axis = replace(self._axis, attributes=self._schema.slot_attributes)
        write_description(
            path,
            self._given.name,
            schema=self._schema,
            axis=axis,
            slots=self._slots,
            checksums=checksums,
            level=self._level,
            items=self._origins.items,
            n_failed=self._origins.n_failed,
            hidden={number: self._kept(number) for number in sorted(self._hidden)},
            aside=self._aside,
        )
        self._say_gaps()
        for name, keys in self._aside.items():
            text = "%r is not in the dataset, but kept for when all items have it: %d of %d lack it, %s."
            shown = ", ".join(keys[:_MAX_NAMED]) + (", …" if len(keys) > _MAX_NAMED else "")
            logger.warning(text, name, len(keys), len(self._origins.items), shown)

    def _say_gaps(self) -> None:
        gaps = self._slots.gaps.tolist()
        if gaps:
            shown = ", ".join(map(self._axis.label, gaps[:_MAX_NAMED])) + (", …" if len(gaps) > _MAX_NAMED else "")
            text = (
                "%s of %s slots of %r have no item: %s. They are missing values, and never_written in slots/%s/status."
            )
            logger.warning(text, f"{len(gaps):,}", f"{self._n_slots:,}", self._axis.name, shown, self._axis.name)

    def _kept(self, number: int) -> Path:
        """The part of an item of whose slots others give some, as it is kept: the same wherever it comes from."""
        self._scratch.mkdir(exist_ok=True)
        if number in self._origins.parts:
            opened = Part(self._origins.parts[number].path)
            own, rows = opened.schema, opened.rows()
        else:
            assert self._before is not None  # noqa: S101 - where else should it come from
            own, rows = self._before.rows_of(self._before.keys.index(self._origins.items[number].key))
        target = self._schema.restricted(own.arrays)
        path = self._scratch / f"kept-{number}"
        write_part(path, target, conform(own, rows, target), self._level)
        return path

    @property
    def _level(self) -> int:
        return self._given.cutting.level if self._before is None else self._before.level

    def _joined(self) -> Schema:
        """The schema of the dataset: that of the one before, or of all items."""
        different: dict[str, tuple[str, Schema]] = {}
        for number, part in self._origins.parts.items():
            if part.digest not in different:
                different[part.digest] = (self._origins.items[number].key, Part(part.path).schema)
        try:
            if self._before is None:
                return joined([schema for _, schema in different.values()], self._given.cutting)
            found = self._before.schema
            for _, schema in different.values():
                found = extended(found, schema, self._given.cutting)
        except SchemaError as exc:
            raise MergeError(f"The items do not belong into one dataset: {exc}") from exc
        return found

    def _placed_axis(self) -> SlotAxis:
        wanted = self._given.slot or (self._schema.default_slot if self._before is None else None)
        require_processed(self._schema.slot, wanted, self._given.axis, is_keyed=self._schema.slot_dtype == TEXT)
        known = self._given.axis if self._before is None else self._before.axis
        if isinstance(known, KeyAxis):
            return key_axis(known.name, self._origins.keys_in_order)
        slots = self._origins.all_slots() if self._origins.parts else np.zeros(0, self._schema.row_dtype)
        attributes = self._schema.slot_attributes
        declared = self._given.axis
        if declared is not None:
            self._schema.require_axis(declared, slots)
        if self._before is not None:
            axis = self._before.axis
            if declared is not None and not declared.has_same_slots(axis):
                raise MergeError(f"The axis {axis.name!r} that is declared is not that of {self._before.path}.")
            return axis.extended(slots) if declared is None else declared
        own = slots.astype(self._schema.row_dtype)  # an item whose slots are no such numbers is refused by name
        return declared or self._given.learned(self._schema.slot, own, attributes)

    def _conform(self) -> None:
        """Write the parts of items with another schema anew, as the dataset stores them."""
        refused = []
        known: dict[tuple[str, ...], str] = {}
        for number, part in self._origins.parts.items():
            names = tuple(part.n_cells)
            if names not in known:
                known[names] = self._schema.restricted(names).digest
            if part.digest == known[names]:
                continue
            try:
                self._origins.parts[number] = self._anew(number, part)
            except SchemaError as exc:
                refused.append((self._origins.items[number].key, str(exc)))
        if refused:
            named = "; ".join(f"{key!r}: {why}" for key, why in refused[:_MAX_NAMED])
            raise MergeError(
                f"{len(refused)} of {len(self._origins.items)} items are on another grid than the first: {named}"
            )

    def _anew(self, number: int, part: PartSummary) -> PartSummary:
        self._scratch.mkdir(exist_ok=True)
        opened = Part(part.path)
        target = self._schema.restricted(part.n_cells)
        path = self._scratch / f"{number}"
        require_same_coordinates(opened.schema, target)
        write_part(path, target, conform(opened.schema, opened.rows(), target), self._level, part_axis(self._axis))
        return PartSummary.of(path)

    def _claimed(self) -> Slots:
        """Who gives which slot.

        Raises
        ------
        MergeError
            Two items give the same one, or one has a slot that the axis has not.
        """
        names = list(self._schema.arrays)
        placed = self._placed = {n: self._positions(n, part) for n, part in self._origins.parts.items()}
        self._moved: dict[int, int] = {}
        n_slots = max([int(p[-1]) + 1 for p in placed.values()] + [0 if self._before is None else self._before.n_slots])
        found = Slots.empty(names, n_slots)
        if self._before is not None:
            held = self._before.slots.fitted(names, n_slots)
            if isinstance(self._axis, KeyAxis):
                former = self._origins.former_positions(self._axis, self._before)
                held, self._moved = held.taken(former), self._origins.moved(self._axis, former)
            found = held.renumbered(self._origins.numbers(self._before))
        columns = {name: column for column, name in enumerate(names)}
        parts = self._origins.parts
        # Final values first: two items with provisional ones of a step that a third has final do not clash.
        for is_late in (False, True):
            for number in sorted(placed, key=lambda number: -self._ranks[number]):
                for name, n_cells in parts[number].n_cells.items():
                    flags = parts[number].provisional.get(name, np.zeros(len(n_cells), np.bool_))
                    given = (n_cells > 0) & (flags == is_late)
                    given[given] = self._claim(
                        found, number, name, columns[name], positions=placed[number][given], is_late=is_late
                    )
                    found.n_cells[placed[number][given], columns[name]] = n_cells[given]
                    found.provisional[placed[number][given], columns[name]] = is_late
        return found

    def _positions(self, number: int, part: PartSummary) -> npt.NDArray[np.int64]:
        if isinstance(self._axis, KeyAxis):
            return self._axis.positions(np.array([self._origins.items[number].key], object))
        try:
            return self._axis.positions(part.slots)
        except ComponentError as exc:
            raise MergeError(f"Item {self._origins.items[number].key!r} does not fit: {exc}") from exc

    def _claim(
        self,
        found: Slots,
        number: int,
        name: str,
        column: int,
        *,
        positions: npt.NDArray[np.int64],
        is_late: bool,
    ) -> npt.NDArray[np.bool_]:
        """Give slots to an item, and say which it got: those that no item of higher rank, or with final values, has."""
        owner = found.owner[positions, column]
        taken = (owner != NOBODY) & (owner < len(self._origins.items) - self._origins.n_failed)
        others, own = self._ranks[owner], self._ranks[number]
        held = found.provisional[positions, column]
        is_like = held == is_late
        is_even = taken & is_like & (others == own)
        if is_even.any():
            other = int(owner[is_even][0])
            value = self._axis.label(int(positions[is_even][0]))
            one, two = sorted((other, number))
            keys = self._origins.items[one].key, self._origins.items[two].key
            raise MergeError(
                f"The items {keys[0]!r} and {keys[1]!r} both give {name!r} at {self._axis.name} {value}. Leave one "
                "out, or say with duplicate= of the sink which of them counts."
            )
        is_lost = taken & np.where(is_like, others > own, is_late)
        self._hidden.update(owner[taken & ~is_lost].tolist(), [number] if is_lost.any() else [])
        found.owner[positions[~is_lost], column] = number
        return np.asarray(~is_lost, np.bool_)
