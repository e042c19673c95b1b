"""Datasets, tables, mappings and arrays as fields; domains have modules of their own for theirs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from curator_core.filters.values.fields import Array, Attributes, FieldError, Fields

if TYPE_CHECKING:
    from curator_core.datasets.layout import Rows

PLAIN = "value"
"""Name of the only field of a plain array or number, as statistics have it."""
_ROWS = "rows"

_BY_CLASS: Mapping[str, str] = MappingProxyType(
    {
        "ase.atoms:Atoms": "curator_core.domains.atoms.fields:AtomsFields",
        "curator_core.datasets.layout:Rows": f"{__name__}:RowsFields",
        "curator_core.domains.mesh.model:Mesh": "curator_core.domains.mesh.fields:MeshFields",
        "pyarrow.lib:Table": "curator_core.domains.table.fields:TableFields",
    }
)
"""What makes fields of values that not every installation has, by class; imported when there is one."""


def fields_of(value: Any) -> Fields:  # noqa: ANN401 - told apart by what it has
    """Named fields of a value.

    Parameters
    ----------
    value
        ``xarray.Dataset``, mapping of arrays (nested ones have dots in their names), data frame, ``pyarrow.Table``,
        ``Rows`` of a ragged dataset, array with or without named fields, number, ``Mesh``, or ``ase.Atoms``.

    Raises
    ------
    FieldError
        It is nothing of the kind.
    """
    for cls in type(value).__mro__:
        found = _BY_CLASS.get(f"{cls.__module__}:{cls.__qualname__}")
        if found is not None:
            module, _, name = found.partition(":")
            made: Fields = getattr(import_module(module), name)(value)
            return made
    if hasattr(value, "data_vars") and hasattr(value, "coords"):
        return DatasetFields(value)
    if isinstance(value, Mapping):
        return MappingFields(value)
    if hasattr(value, "columns") and hasattr(value, "iloc"):
        return FrameFields(value)
    if isinstance(value, np.ndarray | np.generic | int | float | complex) and not isinstance(value, bool):
        return ArrayFields(np.asarray(value))
    raise FieldError(f"a {type(value).__name__} has no fields; datasets, mappings, tables, arrays and structures have")


class DatasetFields(Fields):
    """An ``xarray.Dataset``: its data variables; coordinates where they are named."""

    what = "datasets"
    row_dim = "time"

    def __init__(self, dataset: Any) -> None:  # noqa: ANN401 - xarray's
        self._dataset = dataset

    @property
    def dataset(self) -> Any:  # noqa: ANN401 - as above
        """The dataset itself."""
        return self._dataset

    def names(self) -> list[str]:
        return [str(name) for name in self._dataset.data_vars]

    def known(self) -> list[str]:
        return self.names() + [str(name) for name in self._dataset.coords]

    def values(self, name: str) -> Array:
        return np.asarray(self._dataset.variables[name].values)

    def attributes(self, name: str) -> Attributes:
        found: Attributes = self._dataset.variables[name].attrs
        return found

    def dims(self, name: str) -> tuple[str, ...]:
        return tuple(map(str, self._dataset.variables[name].dims))

    def replaced(self, values: Mapping[str, Array], attributes: Mapping[str, Attributes] | None = None) -> Any:  # noqa: ANN401
        given = attributes or {}
        variables = dict(self._dataset.variables)
        for name in dict.fromkeys([*values, *given]):
            old = variables[name].to_base_variable()
            variables[name] = type(old)(
                old.dims, values.get(name, old.values), given.get(name, old.attrs), old.encoding
            )
        return self._of(variables, {name: name for name in variables})

    def _of(self, variables: Mapping[Any, Any], names: Mapping[Any, str]) -> Any:  # noqa: ANN401 - a dataset
        """A dataset of other variables, with the indexes that this one has; most have none."""
        import xarray as xr  # noqa: PLC0415 - there is a dataset of it

        ours = self._dataset
        bare = {name: variable.to_base_variable() for name, variable in variables.items()}
        coordinates = {names[name]: bare[name] for name in ours.coords}
        made = xr.Dataset(
            {names[name]: bare[name] for name in ours.data_vars}, xr.Coordinates(coordinates, indexes={}), ours.attrs
        )
        made.encoding = dict(ours.encoding)
        for name in ours.xindexes:
            made = made.set_xindex(names[name])
        return made

    def chosen(self, names: Sequence[str]) -> Any:  # noqa: ANN401 - as above
        kept = self._dataset[list(names)]
        named = {word for name in names for word in _references(self._dataset, name)}
        lost = [name for name in named if name in self._dataset.coords and name not in kept.coords]
        return kept.assign_coords({name: self._dataset[name].variable for name in lost}) if lost else kept

    def renamed(self, names: Mapping[str, str]) -> Any:  # noqa: ANN401 - as above
        variables = {}
        for name, found in self._dataset.variables.items():
            old = found.to_base_variable()
            about = {
                key: " ".join(_renamed_word(word, names) for word in text.split())
                if key in _NAMING and isinstance(text, str)
                else text
                for key, text in old.attrs.items()
            }
            variables[name] = type(old)([names.get(dim, dim) for dim in old.dims], old.values, about, old.encoding)
        return self._of(variables, {name: names.get(name, name) for name in variables})

    def taken(self, dim: str, positions: npt.NDArray[np.intp]) -> Any:  # noqa: ANN401 - as above
        self.length(dim)
        return self._dataset.isel({dim: positions})


_NAMING = (
    "coordinates",
    "bounds",
    "climatology",
    "grid_mapping",
    "cell_measures",
    "formula_terms",
    "ancillary_variables",
    "quantization",
)
"""Attributes that name other variables, by the CF conventions."""


def _references(dataset: Any, name: str) -> Iterator[str]:  # noqa: ANN401 - xarray's
    """Names of what says where and when the values of a variable are, through its coordinates, too."""
    along = [name, *(dim for dim in dataset.variables[name].dims if dim in dataset.coords)]
    for each in along:
        for attribute in _NAMING:
            yield from (
                word.removesuffix(":") for word in str(dataset.variables[each].attrs.get(attribute, "")).split()
            )


def _renamed_word(word: str, names: Mapping[str, str]) -> str:
    bare = word.removesuffix(":")
    return names.get(bare, bare) + word[len(bare) :]


class MappingFields(Fields):
    """Arrays by name; members of a mapping within have dots in their names."""

    what = "mappings"
    row_dim: str | None = _ROWS

    def __init__(self, mapping: Mapping[str, Any]) -> None:
        self._mapping = mapping
        self._leaves = dict(_leaves(mapping, ""))

    def names(self) -> list[str]:
        return list(self._leaves)

    def values(self, name: str) -> Array:
        array = np.asanyarray(self._leaves[name])
        return np.ma.filled(array, np.nan) if array.dtype.kind in "fc" else array  # masked numbers are missing

    def dims(self, name: str) -> tuple[str, ...]:
        rest = super().dims(name)
        return (_ROWS, *rest[1:]) if rest else rest

    def replaced(self, values: Mapping[str, Array], attributes: Mapping[str, Attributes] | None = None) -> Any:  # noqa: ANN401
        return _nested({**self._leaves, **values})

    def chosen(self, names: Sequence[str]) -> Any:  # noqa: ANN401 - as above
        return _nested({name: self._leaves[name] for name in names})

    def renamed(self, names: Mapping[str, str]) -> Any:  # noqa: ANN401 - as above
        return _nested({names.get(name, name): leaf for name, leaf in self._leaves.items()})

    def taken(self, dim: str, positions: npt.NDArray[np.intp]) -> Any:  # noqa: ANN401 - as above
        n_rows = self.length(dim)
        for name in self._leaves:
            if np.shape(self.values(name))[:1] != (n_rows,):
                raise FieldError(f"field {name!r} has not the {n_rows:,} rows of the others")
        return _nested({name: self.values(name)[positions] for name in self._leaves})


def _leaves(mapping: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for name, member in mapping.items():
        if isinstance(member, Mapping):
            yield from _leaves(member, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", member


def _nested(leaves: Mapping[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for name, leaf in leaves.items():
        *around, last = name.split(".")
        inner = made
        for part in around:
            inner = inner.setdefault(part, {})
        inner[last] = leaf
    return made


class RowsFields(MappingFields):
    """Rows of a ragged dataset."""

    what = "ragged rows"
    row_dim = None

    def __init__(self, rows: Rows) -> None:
        super().__init__(rows.values)
        self._rows = rows

    def replaced(self, values: Mapping[str, Array], attributes: Mapping[str, Attributes] | None = None) -> Rows:
        return replace(self._rows, values=super().replaced(values, attributes))

    def chosen(self, names: Sequence[str]) -> Rows:
        present = {name: known for name, known in self._rows.present.items() if name in names}
        return replace(self._rows, values=super().chosen(names), present=present)

    def renamed(self, names: Mapping[str, str]) -> Rows:
        present = {names.get(name, name): known for name, known in self._rows.present.items()}
        return replace(self._rows, values=super().renamed(names), present=present)

    def taken(self, dim: str, positions: npt.NDArray[np.intp]) -> Any:  # noqa: ANN401 - as above
        return Fields.taken(self, dim, positions)


class FrameFields(Fields):
    """The columns of a data frame."""

    what = "data frames"
    row_dim = _ROWS

    def __init__(self, frame: Any) -> None:  # noqa: ANN401 - pandas'
        self._frame = frame

    def names(self) -> list[str]:
        return [str(name) for name in self._frame.columns]

    def _column(self, name: str) -> Any:  # noqa: ANN401 - as above
        return self._frame[next(column for column in self._frame.columns if str(column) == name)]

    def values(self, name: str) -> Array:
        column = self._column(name)
        kind = getattr(column.dtype, "kind", "")
        if not isinstance(column.dtype, np.dtype) and kind in tuple("iuf"):  # pandas' own, whose missing ones are NaN
            return np.asarray(column.to_numpy(dtype=np.float64, na_value=np.nan) if column.hasnans else column)
        return np.asarray(column)

    def dims(self, name: str) -> tuple[str, ...]:
        return (_ROWS,)

    def replaced(self, values: Mapping[str, Array], attributes: Mapping[str, Attributes] | None = None) -> Any:  # noqa: ANN401
        columns = {str(column): column for column in self._frame.columns}
        return self._frame.assign(**{str(columns[name]): array for name, array in values.items()})

    def chosen(self, names: Sequence[str]) -> Any:  # noqa: ANN401 - as above
        columns = {str(column): column for column in self._frame.columns}
        return self._frame[[columns[name] for name in names]]

    def renamed(self, names: Mapping[str, str]) -> Any:  # noqa: ANN401 - as above
        return self._frame.rename(columns={c: names[str(c)] for c in self._frame.columns if str(c) in names})

    def taken(self, dim: str, positions: npt.NDArray[np.intp]) -> Any:  # noqa: ANN401 - as above
        self.length(dim)
        return self._frame.iloc[positions]


class ArrayFields(Fields):
    """An array: its named fields, or itself as ``value``."""

    what = "arrays"

    def __init__(self, array: Array) -> None:
        self._array = array
        self.row_dim = _ROWS if array.ndim else None

    def names(self) -> list[str]:
        return list(self._array.dtype.names or (PLAIN,))

    def values(self, name: str) -> Array:
        return self._array[name] if self._array.dtype.names else self._array

    def dims(self, name: str) -> tuple[str, ...]:
        rest = super().dims(name)
        return (_ROWS, *rest[1:]) if rest else rest

    def replaced(self, values: Mapping[str, Array], attributes: Mapping[str, Attributes] | None = None) -> Any:  # noqa: ANN401
        if not self._array.dtype.names:
            return values.get(PLAIN, self._array)
        return self._of({name: values.get(name, self._array[name]) for name in self.names()})

    def _of(self, columns: Mapping[str, Array]) -> Array:
        rows, ndim = self._array.shape, self._array.ndim
        dtype = np.dtype([(name, array.dtype, array.shape[ndim:]) for name, array in columns.items()])
        made = np.empty(rows, dtype)
        for name, array in columns.items():
            made[name] = array
        return made

    def chosen(self, names: Sequence[str]) -> Any:  # noqa: ANN401 - as above
        return self._of({name: self._array[name] for name in names}) if self._array.dtype.names else self._array

    def renamed(self, names: Mapping[str, str]) -> Any:  # noqa: ANN401 - as above
        if not self._array.dtype.names:
            raise FieldError("a plain array has no name that could be another one")
        return self._of({names.get(name, name): self._array[name] for name in self.names()})

    def taken(self, dim: str, positions: npt.NDArray[np.intp]) -> Any:  # noqa: ANN401 - as above
        self.length(dim)
        return self._array[positions]
