"""Values that say themselves that final ones will replace them: the versions of the experiment of ERA5 and ERA5T."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

import numpy as np
import xarray as xr

from curator_core.datasets.aligned.codec import Array
from curator_core.datasets.aligned.schema import SchemaError
from curator_core.domains.grid.assembly import variable_of

VERSION: Final = "expver"
_PROVISIONAL: Final = 5
_FINAL: Final = 1


def version_of(value: object) -> int | None:
    """The number of a version, as files write it: ``5``, ``5.0``, ``0005``; ``None`` for any other text."""
    text = str(value).strip().removesuffix(".0")
    return int(text) if text.isdigit() else None


def provisional(
    variables: Mapping[str, xr.Variable], moving: Mapping[str, xr.Variable], slot: str, coordinates: Collection[str]
) -> Iterator[tuple[str, Any]]:
    """Variables that will be replaced, and in which slots; coordinates of a slot where all of its data will be."""
    everywhere = np.zeros(len(variables[slot]), np.bool_)
    version = variables.get(VERSION)
    if version is not None and version.dims in ((), (slot,)):
        everywhere |= _is_late(version.values)
    late = {}
    for name, variable in moving.items():
        if name in coordinates:
            continue
        late[name] = everywhere | (version is None and bool(_is_late(variable.attrs.get("GRIB_expver", ""))))
        for word in (f"{name}_{VERSION}", *str(variable.attrs.get("ancillary_variables", "")).split()):
            own = variables.get(word)
            if word.endswith(f"_{VERSION}") and own is not None and own.dims == (slot,):
                late[name] = late[name] | _is_late(own.values)
    all_late = np.logical_and.reduce([*late.values()]) if late else everywhere
    late |= {name: all_late for name in moving if name in coordinates}
    yield from ((name, found) for name, found in late.items() if found.any())


def _is_late(values: Any) -> Array:  # noqa: ANN401 - an array, or one value
    given = np.asarray(values)
    return np.array([version_of(value) == _PROVISIONAL for value in given.flat]).reshape(given.shape)


def without_versions(dataset: xr.Dataset) -> xr.Dataset:
    """A dataset whose ``expver`` is a coordinate, and no dimension along which there are final and provisional values.

    Final ones are taken where there are any, and ``{name}_expver`` says of every time which it has.

    Raises
    ------
    SchemaError
        The versions are others, or a time has some values of both.
    """
    if VERSION in dataset.data_vars:
        dataset = dataset.set_coords(VERSION)
    if VERSION not in dataset.dims:
        return dataset
    numbers = [version_of(value) for value in dataset[VERSION].values.tolist()] if VERSION in dataset.variables else []
    if sorted(number or 0 for number in numbers) not in ([_FINAL, _PROVISIONAL], [_FINAL], [_PROVISIONAL]):
        raise SchemaError(f"Its dimension {VERSION!r} has other versions than 1 and 5: select one with a filter.")
    data: dict[str, xr.Variable] = {}
    coordinates = {str(n): v.variable for n, v in dataset.coords.items() if VERSION not in v.dims}
    for name, variable in dataset.data_vars.items():
        if VERSION not in variable.dims:
            data[str(name)] = variable.variable
            continue
        data[str(name)], versions = _joined(str(name), variable.variable, [number or 0 for number in numbers])
        coordinates[f"{name}_{VERSION}"] = versions
        words = [str(data[str(name)].attrs.get("ancillary_variables", "")), f"{name}_{VERSION}"]
        data[str(name)].attrs["ancillary_variables"] = " ".join(words).strip()
    return xr.Dataset(data, xr.Coordinates(coordinates, indexes={}), dataset.attrs)


def _joined(name: str, variable: xr.Variable, numbers: list[int]) -> tuple[xr.Variable, xr.Variable]:
    """Values of both versions as one variable, and the version at every place of its first other dimension."""
    dims = [str(dim) for dim in variable.dims if dim != VERSION]
    values = variable.transpose(VERSION, *dims).values
    if values.dtype.kind != "f" or not dims:
        raise SchemaError(f"{name!r} has values of two versions, and none that are missing: select one with a filter.")
    parts = dict(zip(numbers, values, strict=True))
    final = parts.get(_FINAL, np.full(values.shape[1:], np.nan, values.dtype))
    late = parts.get(_PROVISIONAL, np.full(values.shape[1:], np.nan, values.dtype))
    rest = tuple(range(1, final.ndim))
    has_final, more = np.isfinite(final).any(axis=rest), (np.isfinite(late) & ~np.isfinite(final)).any(axis=rest)
    both = np.flatnonzero(has_final & more)
    if len(both):
        raise SchemaError(f"{name!r} has final and provisional values at step {int(both[0])} of {dims[0]!r}.")
    is_late = more & ~has_final
    chosen = np.where(is_late.reshape(-1, *[1] * len(rest)), late, final)
    versions = np.where(is_late, "0005", "0001").astype(object)
    return variable_of(dims, chosen, dict(variable.attrs)), variable_of(dims[:1], versions, {"long_name": "version"})
