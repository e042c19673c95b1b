"""The short arrays of a dataset of slots, and the metadata that make it one for every Zarr library."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from curator_core.datasets.aligned.axis import SlotAxis
from curator_core.datasets.aligned.codec import Array, grid_fill
from curator_core.datasets.aligned.published import FAILED, HIDDEN, item_specs, stored_name
from curator_core.datasets.aligned.schema import FORMAT_VERSION, FixedArray, Schema, SlotArray
from curator_core.datasets.aligned.slots import NOBODY, Slots
from curator_core.datasets.contents import content_signature
from curator_core.formats.arrays import TEXT, ArraySpec
from curator_core.formats.zarr_metadata import grid_array, table_array, table_files, write_hierarchy
from curator_core.pipeline.components import MergeItem

_SECOND: Final = 1_000_000  # microseconds, of a sum of times


def write_description(
    path: Path,
    format_name: str,
    *,
    schema: Schema,
    axis: SlotAxis,
    slots: Slots,
    checksums: Mapping[str, npt.NDArray[np.uint64]],
    level: int,
    items: Sequence[MergeItem],
    n_failed: int,
    hidden: Mapping[int, Path],
    aside: Collection[str],
) -> None:
    """Write everything of a dataset but the files of its arrays along the slots.

    The last `n_failed` items are those that failed; `hidden` has the parts of those of whose slots others give some;
    variables that are `aside` are not shown.
    """
    n_slots = len(slots.owner)
    stored = {name: stored_name(name, aside) for name in schema.arrays}
    described = {stored[name]: _array(array, n_slots, level, slots) for name, array in schema.arrays.items()}
    for name, fixed in schema.fixed.items():
        described[name] = _write_fixed(path, fixed)
    for array in coordinates_of(axis, n_slots, schema):
        described[array.name] = _write_fixed(path, array)
    failed = np.arange(len(items)) >= len(items) - n_failed
    tables = {
        **_item_columns(items, failed),
        **slots.columns(axis.name, failed, {HIDDEN: aside}),
        **_checksum_columns(checksums),
    }
    for spec, values in tables.values():
        described[spec.name] = _write_table(path, spec, values)
    kept = []
    for number, (item, part) in enumerate(sorted(hidden.items())):
        content = np.fromfile(part, np.uint8)
        kept.append([item, len(content)])
        described[f"{HIDDEN}/{number}"] = _write_table(
            path, ArraySpec(f"{HIDDEN}/{number}", "uint8", ("byte",)), content
        )
    attributes = _attributes(format_name, schema, axis, n_slots=n_slots, level=level, items=items)
    attributes["curator"] |= {"hidden": kept} if kept else {}
    attributes["curator"] |= {"aside": sorted(aside)} if aside else {}
    write_hierarchy(path, attributes, described, tables=described.keys() - set(stored.values()))


def coordinates_of(axis: SlotAxis, n_slots: int, schema: Schema) -> list[FixedArray]:
    """The coordinates of the slots: of their dimension, of those within, and sums of both."""
    values = axis.outer_coordinates(n_slots)
    found = [FixedArray(axis.name, (axis.name,), values, schema.slot_attributes)]
    for inner in axis.inner:
        within = np.array(inner.values, np.int64)
        found.append(FixedArray(inner.name, (inner.name,), within, inner.attributes))
        if inner.total:
            kept = {key: schema.slot_attributes[key] for key in ("units", "calendar") if key in schema.slot_attributes}
            bounds = f"{inner.total}_bnds"
            about = {"standard_name": "time", **kept, **({"bounds": bounds} if bounds in schema.arrays else {})}
            sums = values[:, None] + within * _SECOND
            found.append(FixedArray(inner.total, (axis.name, inner.name), sums, about))
    return found


def _attributes(
    format_name: str, schema: Schema, axis: SlotAxis, *, n_slots: int, level: int, items: Sequence[MergeItem]
) -> dict[str, Any]:
    named = [*schema.coordinates, *(inner.total for inner in axis.inner if inner.total)]
    own = {
        "Conventions": "CF-1.11",
        "format": format_name,
        "format_version": FORMAT_VERSION,
        "content_hash": content_signature({i.key: i.version for i in items}, {i.key: i.split for i in items}),
        "curator": {
            "schema": schema.described(),
            "axis": axis.described(),
            "level": level,
            "n_slots": n_slots,
            "n_items": len(items),
        },
    }
    return {**schema.attributes, **own, **({"coordinates": " ".join(named)} if named else {})}


def _array(array: SlotArray, n_slots: int, level: int, slots: Slots) -> dict[str, Any]:
    attributes = dict(array.attributes)
    column = list(slots.names).index(array.name)
    is_whole = (slots.owner[:, column] != NOBODY).all() and (slots.n_cells[:, column] == array.n_cells).all()
    if array.dtype != TEXT and np.dtype(array.dtype).kind in "iu" and not is_whole:
        attributes["_FillValue"] = grid_fill(array.dtype)
    return grid_array(
        array.dtype,
        array.stored_dims,
        array.stored((n_slots, *array.row_shape)),
        cut=(array.stored(array.chunk), array.stored(array.shard)),
        level=level,
        fill=grid_fill(array.dtype),
        attributes=attributes,
    )


def _write_fixed(path: Path, fixed: FixedArray) -> dict[str, Any]:
    spec = fixed.spec
    if fixed.dims:
        values = fixed.values.astype(object) if spec.is_text else fixed.values
        return _write_table(path, spec, values)
    values = fixed.values.reshape(1).astype(object if spec.is_text else spec.dtype)
    alone = ArraySpec(spec.name, spec.dtype, ("one",), (), spec.attributes)
    for _, data in table_files(alone, values):
        (path / spec.name).mkdir(parents=True, exist_ok=True)
        (path / spec.name / "c").write_bytes(data)
    described = table_array(alone, 1)
    described |= {"shape": [], "dimension_names": []}
    described["chunk_grid"] = {"name": "regular", "configuration": {"chunk_shape": []}}
    return described


def _write_table(path: Path, spec: ArraySpec, values: Array) -> dict[str, Any]:
    for key, data in table_files(spec, values):
        (path / key).parent.mkdir(parents=True, exist_ok=True)
        (path / key).write_bytes(data)
    return table_array(spec, len(values))


def _item_columns(items: Sequence[MergeItem], failed: npt.NDArray[np.bool_]) -> dict[str, tuple[ArraySpec, Array]]:
    found: dict[str, tuple[ArraySpec, Array]] = {}
    for name, spec in item_specs().items():
        values = np.empty(len(items), object)
        if name == "state":
            values[:] = [FAILED if flag else "" for flag in failed]
        else:
            values[:] = [getattr(item, name) or "" for item in items]
        found[spec.name] = spec, values
    return found


def _checksum_columns(checksums: Mapping[str, npt.NDArray[np.uint64]]) -> dict[str, tuple[ArraySpec, Array]]:
    return {
        f"checksums/{n}": (ArraySpec(f"checksums/{n}", "uint64", ("file",)), v.ravel()) for n, v in checksums.items()
    }
