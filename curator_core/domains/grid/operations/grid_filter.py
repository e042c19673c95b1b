"""What filters of grids share: datasets in, datasets out, attributes that stay true."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Mapping
from typing import Any, Final

import numpy as np
import xarray as xr

from curator_core.domains.grid.axes import REFERENCES
from curator_core.filters.values import FieldError, FieldFilter, Fields
from curator_core.filters.values.kinds import DatasetFields

_OF_VALUES: Final = ("actual_range", "quantization", "quantization_nsb", "quantization_nsd")
"""Attributes of variables that are no longer true when values are others."""
_OF_BOX: Final = "geospatial_"
"""How attributes of a dataset begin that say where it lies."""
_SMALL: Final = 2
"""Bytes of integers that float32 holds."""


class GridFilter(FieldFilter):
    """A filter that changes datasets; write `changed`."""

    def apply(self, fields: Fields) -> Any:  # noqa: ANN401 - a dataset
        if not isinstance(fields, DatasetFields):
            raise FieldError(f"{fields.what} are no grids, which are xarray.Datasets")
        return self.changed(fields.dataset)

    @abstractmethod
    def changed(self, dataset: xr.Dataset) -> xr.Dataset | None:
        """Another dataset; ``None`` to leave it out.

        Raises
        ------
        FieldError
            It cannot be changed like that.
        """


def rebuilt(dataset: xr.Dataset, variables: Mapping[str, xr.Variable], *, moved: bool = False) -> xr.Dataset:
    """A dataset of other variables; those that were no data, or are new, are coordinates, without indexes.

    Parameters
    ----------
    dataset
        Whose data, coordinates and attributes are meant.
    variables
        All variables by name.
    moved
        Whether points are others, so that attributes of the dataset on where it lies are left out.
    """
    data = {name: variables[name] for name in map(str, dataset.data_vars) if name in variables}
    coordinates = {name: variable for name, variable in variables.items() if name not in data}
    made = xr.Dataset(data, xr.Coordinates(coordinates, indexes={}), dataset.attrs)
    if moved:
        made.attrs = {key: value for key, value in dataset.attrs.items() if not str(key).startswith(_OF_BOX)}
    return made


def other_values(variable: xr.Variable) -> dict[str, Any]:
    """Attributes of a variable that are still true when its values are others of the same quantity."""
    return {str(key): value for key, value in variable.attrs.items() if key not in _OF_VALUES}


def without_references(attributes: Mapping[str, Any], gone: Collection[str]) -> dict[str, Any]:
    """Attributes that do not name variables which are gone."""
    found = dict(attributes)
    for key in REFERENCES:
        given = found.get(key)
        if not isinstance(given, str):
            continue
        words = given.split()
        if key in ("cell_measures", "grid_mapping") and ":" in given:  # pairs, or a mapping and what it maps
            if any(word in gone for word in words):
                del found[key]
        else:
            kept = [word for word in words if word not in gone]
            found[key] = " ".join(kept)
            if not kept:
                del found[key]
    return found


def as_floats(name: str, variable: xr.Variable) -> Any:  # noqa: ANN401 - an array
    """Values that can be missing: floating-point ones as they are, integers as such.

    Raises
    ------
    FieldError
        They are text, truth values, or integers that float64 does not hold.
    """
    values = np.asarray(variable.values)
    if values.dtype.kind == "f":
        return values
    if values.dtype.kind not in "iu":
        raise FieldError(f"field {name!r} has values of type {values.dtype}, of which none can be missing")
    if values.dtype.itemsize <= _SMALL:
        return values.astype(np.float32)
    made = values.astype(np.float64)
    if values.dtype.itemsize > 4 and values.size and float(np.abs(made).max()) >= 2**53:  # noqa: PLR2004 - of float64
        raise FieldError(f"field {name!r} has integers that are too large to stand beside missing ones, as float64")
    return made


def with_method(attributes: Mapping[str, Any], method: str) -> dict[str, Any]:
    """Attributes whose ``cell_methods`` end in another method, such as ``area: mean``."""
    before = str(attributes.get("cell_methods", "")).strip()
    return {**attributes, "cell_methods": f"{before} {method}".strip()}


def require_mean(name: str, variable: xr.Variable, advice: str) -> None:
    """Raise `FieldError` for a field of which there is no mean: flags, or directions."""
    about = variable.attrs
    named = " ".join(str(about.get(key, "")) for key in ("standard_name", "long_name")).lower()
    if "flag_values" in about or "flag_masks" in about:
        raise FieldError(f"field {name!r} has flags, of which there is no mean: {advice}")
    if "direction" in named and str(about.get("units", "")).lower().startswith("deg"):
        raise FieldError(f"field {name!r} has directions, of which there is no mean, as of 359 and 1 degrees: {advice}")
