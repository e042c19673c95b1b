"""Samples of different lengths as an ``xarray.Dataset``, in the indexed ragged form of the CF conventions.

References
----------
CF conventions 1.11, section 9.3.4: indexed ragged array representation.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from curator_core.errors import MissingDependencyError

try:
    import xarray as xr
except ImportError as exc:
    raise MissingDependencyError.of("xarray", "xarray", "Datasets of samples as xarray.Dataset") from exc

if TYPE_CHECKING:
    from curator_core.formats.arrays import ArraySpec
    from curator_core.reading.readers import SampleReader


def to_xarray(reader: SampleReader[Any], indices: Sequence[int] | None, names: Collection[str] | None) -> xr.Dataset:
    """Read samples into an ``xarray.Dataset``; `SampleReader.to_xarray` says what it holds."""
    positions = range(len(reader)) if indices is None else indices
    known = reader.arrays()
    batch = reader.batch(positions, known if names is None else names)
    main = reader.main_axis
    variables = {name: _variable(known[name], values) for name, values in batch.values.items()}
    for axis, counts in batch.counts.items():
        if axis != main and any(known[name].dims[0] == axis for name in batch.values):
            index = np.repeat(np.arange(len(positions)), counts)
            variables[f"{main}_index"] = xr.Variable((axis,), index, {"instance_dimension": main})
    return xr.Dataset(variables, {main: np.asarray(positions)}, {"Conventions": "CF-1.11"})


def _variable(spec: ArraySpec, values: Any) -> xr.Variable:  # noqa: ANN401 - an array
    attributes = dict(spec.attributes)
    if "unit" in attributes:
        attributes["units"] = attributes.pop("unit")
    return xr.Variable(spec.dims, values, attributes)
