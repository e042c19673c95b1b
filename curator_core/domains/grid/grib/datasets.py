"""Datasets of the fields of a GRIB file: dense boxes, in which no value is invented."""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from curator_core.domains.grid.assembly import variable_of
from curator_core.domains.grid.decoding import DecodingError
from curator_core.domains.grid.grib.boxes import Box, boxes, slots_of
from curator_core.domains.grid.grib.grids import GRID_NAME, Grid, grid_of, values_of
from curator_core.domains.grid.grib.headers import (
    NO_PART,
    Header,
    difference,
    error_of,
    handle_of,
    header_of,
    key_of,
    time_of,
)
from curator_core.domains.grid.grib.messages import Field
from curator_core.domains.grid.grib.packing import packing_of, simple_values
from curator_core.domains.grid.times import EPOCH_UNITS, label

_lock = threading.Lock()  # ecCodes keeps state that threads share
_BY_LEAD = ("time", "lead_time")
_OF_SPECTRA = ("directionNumber", "frequencyNumber")

Keys = Mapping[str, Collection[str]]


@dataclass(frozen=True, slots=True)
class Block:
    """A dense box of one variable."""

    headers: Mapping[Any, Header]
    """Of every slot."""
    box: Box
    """Members, times, lead times, levels, directions, frequencies."""

    @property
    def first(self) -> Header:
        """A header: what it says of the variable holds for all of them."""
        return next(iter(self.headers.values()))

    @property
    def versions(self) -> set[str]:
        """Versions of the experiment: final ones, or such that will be replaced."""
        return {header.version or "" for header in self.headers.values()}

    @property
    def version_by_time(self) -> list[str]:
        """Version of every time, the last one where fields of a time are of several: ``0005`` after ``0001``."""
        found: dict[int, str] = {}
        for header in self.headers.values():
            found[header.time] = max(found.get(header.time, ""), header.version or "")
        return [found[time] for time in self.box[1]]  # type: ignore[index]  # times are numbers

    @property
    def starts(self) -> xr.Variable | None:
        """Start of the period by time and lead time, in seconds from the reference time; ``None`` for moments."""
        if self.first.step_type == "instant":
            return None
        found = np.array([self.headers[slot].start for slot in slots_of(self.box)], np.int64)
        members, times, leads = map(len, self.box[:3])
        by_time = found.reshape(members, times, leads, -1)[0, :, :, 0]
        about = {"units": "seconds", "long_name": "start of the period, after the reference time"}
        return variable_of("time", by_time[:, 0], about) if leads == 1 else variable_of(_BY_LEAD, by_time, about)

    @property
    def size(self) -> int:
        """Bytes of its values."""
        return prod(map(len, self.box)) * self.first.n_points * (8 if self.is_wide else 4)

    @property
    def is_wide(self) -> bool:
        """Whether its values need 64 bits."""
        return any(header.is_wide for header in self.headers.values())


def headers_of(fields: Sequence[Field], keys: Keys) -> list[Header]:
    """Read what the fields are, in one pass.

    Raises
    ------
    DecodingError
        A message cannot be decoded, or none has the wanted keys, or two are the same.
    """
    with _lock:
        headers = [h for h in _read(fields, keys) if h is not None]
    if not headers:
        raise DecodingError(f"none of its {len(fields):,} fields has {dict(keys)}")
    return _named_apart(headers, fields)


def _read(fields: Sequence[Field], keys: Keys) -> Iterator[Header | None]:
    """Headers, which ecCodes is asked for once for all fields that differ in their times alone."""
    known: dict[tuple[bytes, bytes], Header] = {}
    for position, field in enumerate(fields):
        time, kind = time_of(field), (field.product, field.grid)
        if time is not None and kind in known:
            yield replace(known[kind], field=position, time=time)
            continue
        header = header_of(position, field, keys)
        if header is not None and header.time == time and not keys:  # it may be elsewhere, and keys may ask for it
            known[kind] = header
        yield header


def _named_apart(headers: list[Header], fields: Sequence[Field]) -> list[Header]:
    """Fields of different grids or kinds of step are variables with names of their own; none comes twice."""
    kinds: dict[str, dict[tuple[int, str, str, bytes], None]] = defaultdict(dict)
    for header in headers:
        kinds[header.name].setdefault((header.param, header.level_type, header.step_type, header.grid))
    names: dict[Any, str] = {}
    for name, found in kinds.items():
        for kind in found:
            names[name, kind] = _apart(name, kind, list(found))
    named = [replace(h, name=names[h.name, (h.param, h.level_type, h.step_type, h.grid)]) for h in headers]
    of_ensembles = {header.name for header in named if header.member is not None}
    named = [replace(h, member=h.member or 0) if h.name in of_ensembles else h for h in named]
    taken: dict[Any, Header] = {}
    for header in named:
        former = taken.setdefault((header.name, header.slot), header)
        if former is not header:
            both = fields[former.field], fields[header.field]
            with _lock:
                differs = difference(*both)
            raise DecodingError(
                f"messages {both[0].number} and {both[1].number} are both {header.name!r} of "
                f"{label(header.time, 'standard')}, {header.lead} s ahead, on level {header.level[0]:g}: choose one of "
                f"them with keys=, where they differ: {differs}"
            )
    return named


def _apart(name: str, kind: tuple[int, str, str, bytes], kinds: list[tuple[int, str, str, bytes]]) -> str:
    labels = [kind[1], kind[2], str(kind[0]), f"grid{[*dict.fromkeys(k[3] for k in kinds)].index(kind[3]) + 1}"]
    order = (1, 2, 0, 3)  # kind of level, of step, parameter, grid
    values = [len({k[part] for k in kinds}) for part in order]
    return "_".join([name, *(text for text, n in zip(labels, values, strict=True) if n > 1)])


def blocks_of(headers: Sequence[Header]) -> list[list[Block]]:
    """Dense boxes of the variables; those that share grid, members, times and levels stand together."""
    variables: dict[str, dict[Any, Header]] = defaultdict(dict)
    for header in headers:
        variables[header.name][header.slot] = header
    together: list[list[Block]] = []
    for slots in variables.values():
        for box in boxes(list(slots)):
            block = Block({slot: slots[slot] for slot in slots_of(box)}, box)
            for others in together:
                if all(_fits(block, other) for other in others):
                    others.append(block)
                    break
            else:
                together.append([block])
    return together


def _fits(one: Block, other: Block) -> bool:
    if one.first.name == other.first.name or one.first.grid != other.first.grid or one.box[:3] != other.box[:3]:
        return False
    if any(own != its and (NO_PART,) not in (own, its) for own, its in zip(one.box[4:], other.box[4:], strict=True)):
        return False
    return one.first.level_type != other.first.level_type or not one.first.has_levels or one.box[3] == other.box[3]


def dataset_of(blocks: Sequence[Block], fields: Sequence[Field], grids: dict[bytes, Grid]) -> xr.Dataset:
    """Decode the fields of blocks that stand together.

    Parameters
    ----------
    blocks
        What `blocks_of` puts together.
    fields
        Those of the file.
    grids
        Those that are known, by their definition; filled in.
    """
    with _lock:
        grid = _grid(fields[blocks[0].first.field], grids)
        data = {block.first.name: _variable(block, fields, grid) for block in blocks}
    coordinates = _coordinates(blocks) | grid.coordinates
    return xr.Dataset(data, xr.Coordinates(coordinates, indexes={}), {"Conventions": "CF-1.11"})


def _grid(field: Field, grids: dict[bytes, Grid]) -> Grid:
    if field.grid not in grids:
        with handle_of(field) as handle:
            try:
                grids[field.grid] = grid_of(handle, field.grid)
            except DecodingError as exc:
                raise error_of(field, exc) from exc
    return grids[field.grid]


def _dims(block: Block) -> tuple[str, ...]:
    names = ("number", "time", "lead_time", block.first.level_type, *_OF_SPECTRA)
    return tuple(name for name, is_dim in zip(names, _are_dims(block), strict=True) if is_dim)


def _are_dims(block: Block) -> tuple[bool, ...]:
    members, _, leads, _, *spectrum = block.box
    has_parts = [numbers != (NO_PART,) for numbers in spectrum]
    return (members != (-1,), True, len(leads) > 1, block.first.has_levels, *has_parts)


def _variable(block: Block, fields: Sequence[Field], grid: Grid) -> xr.Variable:
    checked: dict[bytes, bool] = {}
    values = np.empty((len(block.headers), *grid.shape), np.float64 if block.is_wide else np.float32)
    for position, slot in enumerate(slots_of(block.box)):
        field = fields[block.headers[slot].field]
        found = unpacked(field, checked)
        if found.size != prod(grid.shape):
            raise error_of(field, f"it has {found.size:,} values, and its grid {prod(grid.shape):,} points")
        values[position] = grid.arranged(found)
    dims = (*_dims(block), *grid.dims)
    lengths = [n for n, is_dim in zip(map(len, block.box), _are_dims(block), strict=True) if is_dim]
    with handle_of(fields[block.first.field]) as handle:
        attributes = _attributes(handle, block, grid)
    return variable_of(dims, values.reshape(*lengths, *grid.shape), attributes)


def unpacked(field: Field, checked: dict[bytes, bool]) -> npt.NDArray[Any]:
    """Values of a field: by ecCodes, or as `simple_values` where those of the first field of its kind are the same.

    Parameters
    ----------
    field
        The field.
    checked
        Whether they are, by kind; filled in.
    """
    kind = packing_of(field)
    if kind is not None and checked.get(kind):
        return simple_values(field)
    with handle_of(field) as handle:
        found = values_of(handle)
    if kind is not None and kind not in checked:
        checked[kind] = np.array_equal(simple_values(field).astype(np.float32), found.astype(np.float32))
    return found


def _attributes(handle: int, block: Block, grid: Grid) -> dict[str, Any]:
    texts = {"units": "units", "long_name": "name", "standard_name": "cfName", "GRIB_shortName": "shortName"}
    found = {name: key_of(handle, key) for name, key in texts.items()}
    attributes: dict[str, Any] = {n: v for n, v in found.items() if v not in (None, "unknown", "~")}
    first = block.first
    attributes |= {"GRIB_paramId": first.param, "GRIB_typeOfLevel": first.level_type}
    attributes |= {"GRIB_stepType": first.step_type, "GRIB_gridType": grid.kind}
    if len(block.versions) == 1 and first.version is not None:
        attributes["GRIB_expver"] = first.version
    others = ["expver"] if len(block.versions) > 1 else []
    others += [] if block.starts is None else ["start"]
    if others:
        attributes["ancillary_variables"] = " ".join(f"{first.name}_{other}" for other in others)
    if not first.has_levels:
        attributes["GRIB_level"] = first.level[0]
    if grid.is_unplaced:
        attributes["grid_mapping"] = GRID_NAME
    return attributes


def _coordinates(blocks: Sequence[Block]) -> dict[str, xr.Variable]:
    members, times, leads = blocks[0].box[:3]
    starts, ahead = np.array(times, np.int64), np.array(leads, np.int64)
    dated = {"units": EPOCH_UNITS, "calendar": "standard"}
    dims = _BY_LEAD if len(leads) > 1 else ("time",)
    valid = starts[:, None] + ahead * 1_000_000
    found = {
        "time": variable_of(("time",), starts, {"standard_name": "forecast_reference_time", **dated}),
        "lead_time": variable_of(
            dims[1:], ahead if len(leads) > 1 else ahead[0], {"units": "seconds", "standard_name": "forecast_period"}
        ),
        "valid_time": variable_of(dims, valid.reshape([len(times), len(leads)][: len(dims)]), dated),
    }
    if members != (-1,):
        found["number"] = variable_of(("number",), np.array(members), {"standard_name": "realization"})
    for block in blocks:
        if len(block.versions) > 1:
            versions = variable_of(("time",), np.array(block.version_by_time), {"long_name": "experiment version"})
            found[f"{block.first.name}_expver"] = versions
        if (since := block.starts) is not None:
            found[f"{block.first.name}_start"] = since
        if block.first.has_levels:
            found[block.first.level_type] = _levels(block.first.level_type, block.box[3])
        for name, numbers in zip(_OF_SPECTRA, block.box[4:], strict=True):
            if numbers != (NO_PART,):
                found[name] = variable_of((name,), np.array(numbers, np.int64))
    return found


def _levels(kind: str, levels: tuple[Any, ...]) -> xr.Variable:
    """Of layers that begin at the same level, the middles."""
    tops = [top for top, _ in levels]
    is_clear = not [top for top, n in Counter(tops).items() if n > 1]
    values = tops if is_clear else [(top + bottom) / 2 for top, bottom in levels]
    units = {"isobaricInhPa": "hPa", "isobaricInPa": "Pa"}.get(kind)
    attributes = {"positive": "down", **({"units": units} if units else {})} if "isobaric" in kind else {}
    return variable_of((kind,), np.array(values, np.float64), attributes)


def chosen(headers: Sequence[Header], variables: Collection[str] | None) -> Iterator[Header]:
    """Headers of the wanted variables.

    Raises
    ------
    DecodingError
        There is no such variable.
    """
    known = dict.fromkeys(header.name for header in headers)
    for name in variables or ():
        if name not in known:
            raise DecodingError(f"it has no variable {name!r}; it has {', '.join(known)}")
    return (header for header in headers if variables is None or header.name in variables)
