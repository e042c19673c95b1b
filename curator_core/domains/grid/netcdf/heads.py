"""What is known of an item beside its values, as JSON from which the same NetCDF is written again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np

from curator_core.datasets.aligned.schema import SchemaError
from curator_core.domains.grid.axes import REFERENCES
from curator_core.domains.grid.netcdf.encoding import attribute

TEXT: Final = "text"
"""Type of texts."""
MEANING: Final = frozenset(
    {
        *(*REFERENCES, "formula_terms", "ancillary_variables", "units", "calendar", "scale_factor", "add_offset"),
        *("_Unsigned", "valid_range", "valid_min", "valid_max", "flag_values", "flag_masks", "flag_meanings"),
        *("standard_name", "cell_methods", "positive", "axis"),
    }
)
"""Attributes that say what values are, so that two items with others do not go together."""


@dataclass(frozen=True, slots=True)
class VariableHead:
    """A variable without its values."""

    dims: tuple[str, ...]
    """Names of its dimensions."""
    dtype: str
    """Type as it is stored, or `TEXT`."""
    fill: float | None
    """What stands for missing values; ``None`` for nothing."""
    attributes: dict[str, Any]
    """As `attribute_as_json` gives them; times count microseconds."""
    is_data: bool
    """Whether it is no coordinate."""
    is_time: bool
    """Whether it counts time from 1970."""
    digest: str
    """Hash of its values where they do not vary in time; empty otherwise."""


@dataclass(frozen=True, slots=True)
class ItemHead:
    """An item without its values."""

    dim: str
    """The dimension of time."""
    sizes: dict[str, int]
    """Lengths of the other dimensions."""
    variables: dict[str, VariableHead]
    """By name."""
    attributes: dict[str, Any]
    """Of the file, as `attribute_as_json` gives them."""

    def varies(self, name: str) -> bool:
        """Whether a variable lies along the time."""
        return self.dim in self.variables[name].dims

    def structure(self) -> dict[str, Any]:
        """All but the attributes of the file, as JSON: items have many alike."""
        return {"dim": self.dim, "sizes": self.sizes, "variables": {k: asdict(v) for k, v in self.variables.items()}}

    @classmethod
    def of(cls, structure: Mapping[str, Any], attributes: dict[str, Any]) -> ItemHead:
        """The head of which these are what `structure` gave, and the attributes."""
        variables = {
            name: VariableHead(**{**given, "dims": tuple(given["dims"])})
            for name, given in structure["variables"].items()
        }
        return cls(structure["dim"], dict(structure["sizes"]), variables, attributes)


def attribute_as_json(name: str, value: Any) -> Any:  # noqa: ANN401 - whatever libraries give
    """An attribute with its type.

    Raises
    ------
    SchemaError
        NetCDF has no such value.
    """
    given = attribute(value)
    if isinstance(given, bytes):
        try:
            return given.decode()
        except UnicodeDecodeError as exc:
            raise SchemaError(f"The attribute {name!r} is no text in UTF-8.") from exc
    if isinstance(given, str):
        return given
    if isinstance(given, list):
        return {"texts": given}
    array = np.asarray(given)
    if array.dtype.kind not in "iuf" or array.dtype.itemsize > 8:  # noqa: PLR2004 - bytes of the widest in a file
        raise SchemaError(f"The attribute {name!r} is of type {array.dtype}, which NetCDF has not.")
    return {"type": array.dtype.str, "value": array.tolist()}


def attribute_of_json(form: Any) -> Any:  # noqa: ANN401 - as above
    """The attribute of which `attribute_as_json` gave the form."""
    if isinstance(form, str):
        return form
    return form["texts"] if "texts" in form else np.array(form["value"], form["type"])[()]


def is_same(one: object, other: object) -> bool:
    """Whether two forms are the same, NaN included."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
