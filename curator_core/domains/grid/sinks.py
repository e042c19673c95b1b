"""Sink for grids: one Zarr dataset in which every time has its slot."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Annotated, Any, ClassVar, Literal

import xarray as xr

from curator_core.datasets.aligned.availability import Availability, availability_of, finalised
from curator_core.datasets.aligned.axis import with_inner
from curator_core.datasets.aligned.codec import Array
from curator_core.datasets.aligned.conforming import (
    conform,
    extended,
    joined,
    require_same_coordinates,
    rows_of_none,
    together,
)
from curator_core.datasets.aligned.keyed.axis import KeyAxis, part_axis, require_kind
from curator_core.datasets.aligned.parts import PART_SUFFIX, Part, write_part
from curator_core.datasets.aligned.published import PublishedAligned
from curator_core.datasets.aligned.publishing import AlignedFormat, publish_aligned
from curator_core.datasets.aligned.schema import Cutting, Schema, SchemaError
from curator_core.datasets.aligned.slots import Duplicates
from curator_core.domains.grid.boxes import hull
from curator_core.domains.grid.declared import SLOT, slot_axis
from curator_core.domains.grid.layouts.declared import Layout, Leads, arrangement
from curator_core.domains.grid.notes import axis_note, keys_note, memory_note
from curator_core.errors import ComponentError, ConfigError, MergeError
from curator_core.pipeline.annotations import ADDED, SECRET, UNRECORDED
from curator_core.pipeline.components import MergeItem, Source, Variable, shard_path
from curator_core.sinks.datasets import PlacedSink
from curator_core.storage.locations import location_of
from curator_core.storage.outputs import check_output_path

FORMAT = "curator-grid"
_OF_LEADS = (
    " Forecasts of several lead times have slots of their own with layout='forecast', or by valid time with "
    "layout='time', and leads=."
)


class GridZarrSink(PlacedSink[xr.Dataset]):
    """Grids as one Zarr v3 dataset, in which every value of one dimension, most often the time, has its slot.

    Adding, inserting and correcting steps moves nothing. Workers write encoded chunks; a shard is put together when the
    dataset is published, from chunks of parts and of the dataset before, so that no two processes write one file.
    `open_dataset` gives an ``xarray.Dataset``; so does plain ``xarray.open_zarr``. ``slots/time/status`` says of every
    variable and step whether it is there. An item that changed and failed keeps the slots that it had, marked.

    Parameters
    ----------
    output_path
        Folder of the dataset, ending in ``.zarr``; or a repository, ending in ``.icechunk``, here or in a bucket.
    axes
        The dimension that the dataset grows along, with its values: ``{"time": {"start": "1979-01-01", "end":
        "2020-12-31T18", "frequency": "6h", "calendar": "standard"}}``. Without an end it grows with the items. By
        default the times of the items that are published first are the axis, and it grows at its end. ``{"sample":
        {"values": "keys"}}``: every item has one slot, named by its key, whether it has a time or not.
    chunks
        Length of what a reader loads at once, by dimension; of dimensions that are left out, all. By default chunks of
        about 4 MB.
    shards
        Length of what a file holds, by dimension, whole numbers of chunks. By default about 128 MB.
    dtype
        Type in which floating-point values are stored, such as ``float32``, of all variables or by name.
    compression_level
        Level of Zstandard.
    duplicate
        Which of two items gives a step that both have: ``"fail"``, neither, and both are named; ``"last"``, the later
        one in the source; ``"prefer=PATTERN"``, the one whose key matches, such as ``prefer=final/*``. The other one is
        kept, and gives it again when the first is gone. Another rule is another configuration: with ``layout="time"``
        it decides within items, too, so all of them are processed again.
    layout
        Of forecasts: ``forecast``, a slot for every ``init_time`` and ``lead_time``; ``time``, for every valid time. By
        default their reference times are the axis.
    leads
        Lead times of a layout: ``{"start": "0h", "end": "240h", "frequency": "6h"}``, or a list of them. Of ``time``,
        those that give its steps, for which the frequency can be left out; others are left out.
    members
        Numbers of the members of an ensemble, or a range ``"0-50"``: each has its slots then, along ``number``, so that
        they can come in items of their own.
    variables
        ``union``: all that items have; ``slots`` say what some lack. ``intersection``: those along the slots that every
        item has. Others are kept out of sight, and are in the dataset as soon as no item lacks them.
    storage_options
        Credentials and settings for what is published in the output's folder of a bucket, by obstore's names, such as
        ``aws_secret_access_key`` and ``endpoint``; in place of those of the environment. They are stored nowhere.
    """

    name: ClassVar[str] = "grid_zarr"
    description: ClassVar[str] = "Grids as one Zarr dataset with a slot for every time"
    checks_arguments: ClassVar[bool] = True
    shard_suffix: ClassVar[str] = PART_SUFFIX

    def __init__(
        self,
        output_path: str,
        axes: Annotated[Mapping[str, Mapping[str, Any]] | None, UNRECORDED] = None,
        *,
        chunks: Mapping[str, int] | Literal["auto"] = "auto",
        shards: Mapping[str, int] | Literal["auto"] = "auto",
        dtype: Mapping[str, str] | str | None = None,
        compression_level: int = 1,
        duplicate: str = "fail",
        layout: Layout | None = None,
        leads: Leads | None = None,
        members: Sequence[int] | str | None = None,
        variables: Annotated[Literal["union", "intersection"], ADDED] = "union",
        storage_options: Annotated[Mapping[str, str | bool | int] | None, SECRET] = None,
    ) -> None:
        super().__init__(output_path, storage_options)
        self._config_hash = ""
        self._source: Source[xr.Dataset] | None = None
        self._known: PublishedAligned | None = None
        self._has_looked = False
        self._first: Schema | None = None
        self._is_first = False
        try:
            self._arranged = arrangement(layout, leads, members, takes_shortest=duplicate == "last")
            self._slot, axis = slot_axis(axes)
            self._arranged.require_slot(self._slot)
            inner = self._arranged.inner
            is_keyed = isinstance(axis, KeyAxis)
            self._arranged.require_times(is_keyed=is_keyed)
            sizes = {i.name: len(i.values) for i in inner}
            cutting = Cutting(chunks, shards, dtype, compression_level, sizes, is_keyed=is_keyed)
            cutting.require_blocks(self._arranged.slot or self._slot or SLOT)
            axis = with_inner(axis, inner) if axis is not None and inner else axis
            self._format = AlignedFormat(
                FORMAT,
                cutting,
                axis,
                Duplicates(duplicate),
                inner,
                self._arranged.slot or self._slot,
                is_intersection=variables == "intersection",
            )
        except ConfigError as exc:
            raise ConfigError(f"{self.name}: {exc}") from None

    def set_source(self, source: Source[xr.Dataset]) -> None:
        self._source = source

    def set_config_hash(self, config_hash: str) -> None:
        self._config_hash = config_hash
        self._known, self._first, self._has_looked = None, None, False

    def check(self) -> None:
        """Raise `ConfigError` when the output cannot be written, or has another axis than is declared."""
        check_output_path(self._output, ".zarr", self.name)
        try:
            before = self._published(self._output)
            axis = None if before is None else before.axis
        except ComponentError as exc:
            raise ConfigError(f"{self.name}: {exc} Move it away, or choose another output.") from exc
        declared = self._format.axis
        if axis is not None:
            require_kind(axis, declared, f"{self.name}: {self._output}")
        if axis is not None and axis.inner != self._format.inner:
            raise ConfigError(
                f"{self.name}: {self._output} has other lead times or members, each of which has its slots: "
                "choose another output, for which all items are processed, or remove this one."
            )
        if axis is None or declared is None or declared.has_same_slots(axis):
            return
        raise ConfigError(
            f"{self.name}: the axis {axis.name!r} that is declared begins with {declared.label(0)} and "
            f"{declared.label(1)}, that of {self._output} with {axis.label(0)} and {axis.label(1)}. It can be "
            "extended at its end alone: choose another output, for which all items are processed, or remove this one."
        )

    def __call__(self, items: Iterator[xr.Dataset], index: int) -> list[str]:
        """Write the part of an item."""
        self._is_first = index == 0
        return super().__call__(items, index)

    def notes(self) -> list[str]:
        """What a run would change on the axis of the slots, and the memory that publishing takes."""
        before, declared = self._published(self._output), self._format.axis
        if isinstance(declared, KeyAxis):
            held = None if before is None else before.axis.values.tolist()
            found = [keys_note(held, self._listed(), declared.name)]
        else:
            found = [axis_note(None if before is None else (before.axis, before.n_slots), declared)]
        return found if before is None else [*found, memory_note(list(before.arrays.values()))]

    def write_shard(self, items: Iterator[xr.Dataset], path: str) -> None:
        """Write the slots of an item.

        Raises
        ------
        ComponentError
            It does not belong into the dataset, or gives nothing.
        """
        cutting = self._format.cutting
        try:
            boxes = hull(items, self._slot, cutting, self._arranged)
            known, schemas = self._frozen(), [schema for schema, _ in boxes]
            with _of_one_item(schemas):
                own = joined(schemas, cutting, are_one_item=True)
            if known is not None:
                require_same_coordinates(own, known.schema)
            target = own if known is None else extended(known.schema, own, cutting).restricted(own.arrays)
            with _of_one_item(schemas) if known is None else nullcontext():
                rows = together(boxes, target)
            first = None if known is not None or self._is_first else self._first_item()
            if first is not None:
                with _beside_first(self._source):
                    require_same_coordinates(own, first)
                    conform(own, rows_of_none(own), joined([first, own], cutting))
            axis = self._format.axis or (None if known is None else known.axis.extended(rows.slots))
            if axis is not None:
                target.require_axis(axis, rows.slots)
            level = cutting.level if known is None else known.level
            write_part(path, target, rows, level, part_axis(axis), config_hash=self._config_hash)
        except ComponentError as exc:
            if exc.component is not None:  # of a source or filter, which the values come from
                raise
            advice = _OF_LEADS if "'lead_time' " in str(exc) and self._arranged.is_plain else ""
            raise ComponentError(f"{self.name}: {exc}{advice}", component=self.name) from exc

    def _first_item(self) -> Schema | None:
        """What the first item of the source is made of, where it was processed, and before anything is published.

        An item on another grid fails by itself then; else it is found when all of them are published.
        """
        if self._first is None:
            try:
                part = Part(shard_path(self._output, 0, self.shard_suffix))
            except MergeError:  # it is not there yet, or just written anew: the publication compares the items, too
                return None
            if part.config_hash == self._config_hash:
                self._first = part.schema
        return self._first

    def _frozen(self) -> PublishedAligned | None:
        """The published dataset, where the items in it were made by the same configuration."""
        if not self._has_looked:
            found = self._published(self._output)
            if found is not None and found.is_made_by(self._config_hash):
                self._known = found
            self._has_looked = True
        return self._known

    def _published(self, path: str) -> PublishedAligned | None:
        location = location_of(path)
        return PublishedAligned(location, FORMAT) if location.exists() else None

    def retained_items(self, output_path: str) -> dict[str, str]:
        """Item version by key of a published dataset; empty when there is none.

        Raises
        ------
        ComponentError
            Something else stands there, or a dataset that holds an item twice.
        """
        found = self._published(output_path)
        return {} if found is None else found.versions()

    def retained_splits(self, output_path: str) -> dict[str, str]:
        """Split by key of a published dataset, of the items that are in one."""
        found = self._published(output_path)
        return {} if found is None else found.splits()

    def retained_failed(self, output_path: str) -> dict[str, str]:
        """Version by key of the items of a published dataset whose slots are kept, since they changed and failed."""
        found = self._published(output_path)
        return {} if found is None else dict(found.failed)

    def is_as_declared(self, output_path: str) -> bool:
        """Whether a published dataset has as many slots as the axis that is declared."""
        declared, found = self._format.axis, self._published(output_path)
        if found is None or declared is None or isinstance(declared, KeyAxis):
            return True
        return declared.length(found.slots.n_used) == found.n_slots

    def describe(self, output_path: str) -> dict[str, int | float | str]:
        """Number of slots, of those that have values of every variable, and of items that failed since.

        Of an intersection, names of the variables that are not in it, where there are any.
        Where values are provisional, or became final since the version before: how many steps of variables, and by how
        much each variable changed at most.
        """
        found = self._opened(output_path)
        shown = [name not in found.aside for name in found.names]
        n_complete = int((found.slots.owner[:, shown] >= 0).all(axis=1).sum())
        facts: dict[str, int | float | str] = {"n_slots": found.n_slots, "n_complete": n_complete}
        facts["n_failed_items"] = len(found.failed)
        if found.aside:
            facts["lacked_by_items"] = ", ".join(sorted(found.aside))
        late = finalised(found, location_of(output_path))
        if late.n_provisional or late.n_final:
            facts |= {"n_provisional": late.n_provisional, "n_became_final": late.n_final}
            facts |= {f"largest_change_{name}": change for name, change in late.changes.items()}
        return facts

    def availability(self, output_path: str) -> Availability:
        """Which steps of which variables are there, in which state, by period."""
        return availability_of(self._opened(output_path))

    def n_rows(self, output_path: str) -> int:
        return self._opened(output_path).n_slots

    def _opened(self, path: str) -> PublishedAligned:
        return PublishedAligned(location_of(path), FORMAT)

    def schema(self, output_path: str) -> list[Variable]:
        found = self._opened(output_path)
        return [
            Variable(
                name=array.name,
                dtype=array.dtype,
                dims=array.stored_dims,
                shape=array.stored((found.n_slots, *array.row_shape)),
                chunks=array.stored(array.chunk),
                unit=str(array.attributes.get("units", "")),
                description=str(array.attributes.get("long_name", "")),
            )
            for name, array in found.schema.arrays.items()
            if name not in found.aside
        ]

    def values(self, output_path: str, names: Collection[str]) -> Iterator[tuple[str, str, Array]]:
        found = self._opened(output_path)
        for name in names:
            yield from found.values(name)

    def merge_items(self, items: Sequence[MergeItem], previous: str | None, output_path: str) -> None:
        """Write a new dataset from parts and from the previous dataset.

        Raises
        ------
        MergeError
            A part, or an item of the previous dataset, is missing or damaged; items do not belong together.
        """
        listed, config_hash = self._listed(), self._config_hash
        publish_aligned(self._format, items, previous, output_path, listed=listed, config_hash=config_hash)

    def _listed(self) -> list[str]:
        source = self._source
        return [] if source is None else [source.key(index) for index in range(len(source))]


@contextmanager
def _beside_first(source: Source[xr.Dataset] | None) -> Iterator[None]:
    """Say that an item does not lie with the first one, which stands for the dataset before there is one."""
    try:
        yield
    except SchemaError as exc:
        name = "" if source is None else f" {source.key(0)!r}"
        raise SchemaError(f"Compared with the first item{name}: {exc}") from exc


@contextmanager
def _of_one_item(schemas: Sequence[Schema]) -> Iterator[None]:
    """Say which datasets of one item do not lie together, and how each can be curated."""
    try:
        yield
    except SchemaError as exc:
        if len(schemas) == 1:
            raise
        names = [next(name for name, array in s.arrays.items() if not array.is_coordinate) for s in schemas]
        shown = ", ".join(map(repr, dict.fromkeys(names)))
        raise SchemaError(
            f"The {len(schemas)} datasets of the item, of {shown}, do not lie together: {exc} Curate those that do "
            "by themselves, with variables= of the source."
        ) from exc
