"""Parts of a dataset by year: what one item gives each year, as the file of a year that it has alone."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from curator_core.datasets.aligned.schema import SchemaError
from curator_core.domains.grid.decoding import Array
from curator_core.domains.grid.netcdf.heads import TEXT, ItemHead, VariableHead, attribute_as_json
from curator_core.domains.grid.netcdf.joining import Joined
from curator_core.domains.grid.netcdf.steps import StepsInMemory
from curator_core.domains.grid.netcdf.year_files import YearFormat
from curator_core.domains.grid.times import EPOCH_UNITS, MISSING, decode, label
from curator_core.errors import CuratorError, MergeError

_HEAD: Final = "head.json"


def file_name(year: str) -> str:
    """Name of the file of a year."""
    return f"{year}.nc"


def write_part(path: Path, joined: Joined, dim: str | None, written: YearFormat) -> None:
    """Write the part of an item to a new folder.

    Parameters
    ----------
    path
        The folder.
    joined
        Variables of the item.
    dim
        The dimension of time; the only one by default.
    written
        How files are written.

    Raises
    ------
    SchemaError
        The item has no such dimension, a time is missing or there twice, or values cannot be read again as they are.
    """
    head, values = _encoded(joined, _time(joined, dim), written)
    calendar = str(head.variables[head.dim].attributes.get("calendar", "standard"))
    path.mkdir()
    years = {}
    for year, rows in _by_year(values[head.dim], calendar).items():
        try:
            written.write(path / file_name(year), [StepsInMemory("the item", head, values, rows)])
        except (RuntimeError, AttributeError, ValueError) as exc:
            if isinstance(exc, CuratorError):
                raise
            raise SchemaError(f"NetCDF cannot write it: {exc}.") from exc
        years[year] = len(rows)
    found = {"structure": head.structure(), "attributes": head.attributes, "years": years}
    (path / _HEAD).write_text(json.dumps(found))


@dataclass(frozen=True, slots=True)
class YearPart:
    """The part of an item."""

    path: Path
    """Its folder."""
    head: ItemHead
    """The item without its values."""
    years: dict[str, int]
    """Number of steps by year."""

    @classmethod
    def read(cls, path: Path, key: str) -> YearPart:
        """The part in a folder.

        Raises
        ------
        MergeError
            It is missing or damaged.
        """
        try:
            found = json.loads((path / _HEAD).read_text())
            return cls(path, ItemHead.of(found["structure"], found["attributes"]), dict(found["years"]))
        except (OSError, ValueError, LookupError, TypeError) as exc:
            raise MergeError(f"Shard {path} cannot be read ({exc}); process the item {key!r} again.") from exc


def _time(joined: Joined, wanted: str | None) -> str:
    found = [
        name
        for name, variable in joined.variables.items()
        if variable.dims == (name,) and variable.attrs.get("units") == EPOCH_UNITS
    ]
    if wanted is not None and wanted not in found:
        raise SchemaError(f"The item has no dimension of time {wanted!r}: it has {_listed(found)}.")
    if wanted is None and len(found) != 1:
        raise SchemaError(
            f"A file of a year needs one dimension of time, and the item has {_listed(found)}: name one of several "
            "with dim=; a single time is made a dimension by expand_dims in a filter."
        )
    return wanted or found[0]


def _listed(names: list[str]) -> str:
    return ", ".join(map(repr, names)) or "none"


def _encoded(joined: Joined, dim: str, written: YearFormat) -> tuple[ItemHead, dict[str, Array]]:
    known = joined.encoded(written.encoding, in_seconds=False)
    variables = {}
    for name, found in known.items():
        dims = tuple(str(each) for each in joined.variables[name].dims)
        is_time = found.attributes.get("units") == EPOCH_UNITS
        variables[name] = VariableHead(
            dims=dims,
            dtype=TEXT if found.values.dtype.kind == "O" else found.values.dtype.str,
            # whether a time is missing is known of all items of a year alone
            fill=None if is_time or found.fill is None else np.asarray(found.fill).item(),
            attributes={key: attribute_as_json(key, value) for key, value in found.attributes.items()},
            is_data=name in joined.data,
            is_time=is_time,
            digest="" if dim in dims else _digest(found.values),
        )
    about = {"Conventions": "CF-1.11"} | {k: attribute_as_json(k, value) for k, value in joined.attributes.items()}
    sizes = {name: size for name, size in joined.sizes.items() if name != dim}
    return ItemHead(dim, sizes, variables, about), {name: found.values for name, found in known.items()}


def _digest(values: Array) -> str:
    digest = hashlib.blake2b(digest_size=16)
    if values.dtype.kind == "O":
        digest.update(json.dumps(values.tolist()).encode())
    else:
        digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()


def _by_year(times: Array, calendar: str) -> dict[str, npt.NDArray[np.int64]]:
    """Positions of the steps of each year, in the order of time."""
    if (times == MISSING).any():
        raise SchemaError("A time is missing: its step belongs to no year.")
    order = np.argsort(times, kind="stable")
    ordered = times[order]
    twice = np.flatnonzero(ordered[1:] == ordered[:-1])
    if len(twice):
        raise SchemaError(f"The item has the time {label(int(ordered[twice[0]]), calendar)} twice.")
    years = np.array([date.year for date in decode(ordered, calendar)])
    return {f"{year:04d}": order[years == year] for year in np.unique(years).tolist()}
