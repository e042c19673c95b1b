"""Names, shapes and units of the arrays of a ragged dataset of atomic structures.

A dataset is a Zarr v3 group. With ``n_systems`` structures that have ``n_atoms`` atoms together:

========================  ==========================  ===========================================
array                     shape                       meaning
========================  ==========================  ===========================================
``numbers``               ``(n_atoms,)``              atomic numbers
``positions``             ``(n_atoms, 3)``            Å
``cell``, ``pbc``         ``(n_systems, 3[, 3])``     Å, row vectors; periodic directions
``energy``, ``stress``    ``(n_systems[, 6])``        calculator results; eV, eV/Å³
``forces``                ``(n_atoms, 3)``            eV/Å
``results/<name>``        atoms or systems first      other calculator results
``atom_arrays/<name>``    ``(n_atoms, ...)``          other per-atom arrays of the ``Atoms`` object
``info/<key>``            ``(n_systems,)``            key-value pairs of the database row
``key_value_pairs``       ``(n_systems,)``            JSON: all of them, where they have too many or too long names
``unique_id``             ``(n_systems,)``            ASE's id of the row
``calculator``            ``(n_systems,)``            name of the calculator
``celldisp``              ``(n_systems, 3, 1)``       Å
``constraints``, ``data``  ``(n_systems,)``           JSON in ASE's encoding
``other_info``            ``(n_systems,)``            JSON: the rest of ``Atoms.info``; a key ``"7"`` as ``"text:7"``
``present/<array>``       ``(n_systems,)``            which structures have a value; only where some have none
========================  ==========================  ===========================================

What every ragged dataset has besides, where the rows of an item lie and which rows are padding, is described in
`curator_core.datasets.layout`.

Only what some structure has is there. A value that is missing is NaN, 0, ``False`` or an empty string.
A field whose values share no type and shape is kept as JSON text, one string per structure. Numbers
keep their type; where it differs between structures, the widest is used, which is exact.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from typing import Final, Literal, TypeAlias
from urllib.parse import quote, unquote

import numpy as np

from curator_core.formats.arrays import TEXT, ArraySpec

FORMAT: Final = "curator-atoms"
FORMER_VERSION: Final = 1
"""Version that is still read, and written no more: all rows of an array without padding."""

Axis = Literal["atom", "system"]

MAX_NAMES: Final = 256
"""Most arrays of one group. Each takes milliseconds and several files, of everybody's dataset."""
PAIRS: Final = "key_value_pairs"
"""Array that holds all pairs of a structure where their names make too many arrays, or no file system takes one."""
_MAX_NAME_BYTES = 200  # of the 255 that a file system takes

JSON: Final = "json"
"""Type of a field of values in ASE's JSON encoding."""

ATOM_RESULTS: Final = frozenset({"forces", "stresses", "charges", "magmoms", "energies", "born_effective_charges"})
"""Calculator results with one row per atom."""
MAIN_RESULTS: Final = ("energy", "forces", "stress")
"""Calculator results that stand at the top of the group."""

UNITS: Final[Mapping[str, str]] = {
    "positions": "Å",
    "cell": "Å",
    "celldisp": "Å",
    "energy": "eV",
    "forces": "eV/Å",
    "stress": "eV/Å^3",
    "results/free_energy": "eV",
    "results/energies": "eV",
    "results/stresses": "eV/Å^3",
    "results/dipole": "e Å",
    "results/charges": "e",
    "results/magmom": "μB",
    "results/magmoms": "μB",
    "results/born_effective_charges": "e",
    "atom_arrays/masses": "u",
    "atom_arrays/momenta": "sqrt(u eV)",
    "atom_arrays/initial_charges": "e",
    "atom_arrays/initial_magmoms": "μB",
}
"""ASE's unit of each array that has one."""


@dataclass(frozen=True, slots=True)
class Field:
    """How the values of one array look."""

    axis: Axis
    """Whether there is one row per atom or one per structure."""
    dtype: str
    """Name of a NumPy type, `TEXT` or `JSON`."""
    shape: tuple[int, ...] = ()
    """Shape of one row."""
    partial: bool = False
    """Whether some structure has no value."""

    @property
    def is_text(self) -> bool:
        """Whether rows are strings rather than numbers."""
        return self.dtype in (TEXT, JSON)

    @property
    def stored(self) -> str:
        """Type of the array, which holds JSON as strings."""
        return TEXT if self.is_text else self.dtype


VERSIONS_FILE: Final = "items/key/.versions"
"""Text file of datasets of the former version with the version of each item, a line each."""

OFFSETS: Final = Field("system", "int64")
"""Arrays of first rows and of numbers of rows."""
PRESENT: Final = Field("system", "bool")
"""Arrays in ``present/``."""

Schema: TypeAlias = dict[str, Field]
"""Fields by array name."""

CORE: Final[Schema] = {
    "numbers": Field("atom", "int64"),
    "positions": Field("atom", "float64", (3,)),
    "cell": Field("system", "float64", (3, 3)),
    "pbc": Field("system", "bool", (3,)),
}
"""What every structure has, and every dataset, an empty one too."""


def dump_schema(schema: Schema) -> str:
    """JSON text of a schema, the same for equal schemas."""
    return json.dumps({name: asdict(field) for name, field in sorted(schema.items())}, separators=(",", ":"))


@lru_cache(maxsize=256)
def load_schema(text: str) -> Schema:
    """Schema from the text of `dump_schema`; do not change it."""
    return {name: Field(**field | {"shape": tuple(field["shape"])}) for name, field in json.loads(text).items()}


def join_schemas(schemas: Iterable[Schema]) -> Schema:
    """The schema that can hold the structures of all `schemas`, whatever their order."""
    joined: Schema = dict(CORE)
    n_with: dict[str, int] = {}
    n_all = 0
    for schema in schemas:
        n_all += 1
        for name, field in schema.items():
            joined[name] = _join(joined.get(name, field), field)
            n_with[name] = n_with.get(name, 0) + 1
    pairs = [name for name in joined if name.startswith("info/")]
    if len(pairs) > MAX_NAMES or not all(map(is_short, pairs)):
        for name in pairs:
            del joined[name]
        joined[PAIRS] = Field("system", JSON, (), partial=True)
    return {
        name: replace(field, partial=field.partial or n_with.get(name, 0) < n_all)
        for name, field in sorted(joined.items())
    }


def _join(first: Field, second: Field) -> Field:
    partial = first.partial or second.partial
    dtype = common_dtype(first.dtype, second.dtype)
    if dtype == JSON or (first.axis, first.shape) != (second.axis, second.shape):
        return Field("system", JSON, (), partial)
    return Field(first.axis, dtype, first.shape, partial)


def common_dtype(first: str, second: str) -> str:
    """The wider of two types of one kind; `JSON` where none holds both exactly."""
    if first == second:
        return first
    if {first, second} & {TEXT, JSON} or np.dtype(first).kind != np.dtype(second).kind:
        return JSON
    return np.result_type(first, second).name


_TEXT_KEY: Final = "text:"


def info_name(key: object) -> object:
    """Name in ``other_info`` of a key of ``Atoms.info``: texts that ASE would decode to integers are marked."""
    if not isinstance(key, str):
        return key
    try:
        int(key)
    except ValueError:
        return _TEXT_KEY + key if key.startswith(_TEXT_KEY) else key
    return _TEXT_KEY + key


def info_key(name: object) -> object:
    """The key of `info_name`."""
    return name.removeprefix(_TEXT_KEY) if isinstance(name, str) else name


_EMPTY: Final = "%"  # quoting gives it to no other key


@lru_cache(maxsize=4096)
def array_name(group: str, key: str) -> str:
    """Path of the array for `key` in `group`, with characters that Zarr reserves escaped."""
    name = quote(key, safe=" +,=@()") or _EMPTY
    if name.startswith("__") or not name.strip(".") or name == "zarr.json":
        name = "".join(f"%{ord(c):02X}" for c in name)
    return f"{group}/{name}"


_DIMENSIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "positions": ("xyz",),
    "forces": ("xyz",),
    "cell": ("lattice_vector", "xyz"),
    "pbc": ("lattice_vector",),
}
_OFFSETS: Final[Mapping[str, str]] = {
    "atom_offsets": "system_bound",
    "items/key": "item",
    "items/schema": "item",
    "items/schemas": "schema",
    "items/system_offsets": "item_bound",
}


def dimension_names(name: str, field: Field) -> tuple[str, ...]:
    """Zarr's names of an array's dimensions; those of one group that share a name are equally long."""
    own = _DIMENSIONS.get(name, ())
    if len(own) != len(field.shape):
        own = tuple(f"{name}_{number}" for number in range(1, len(field.shape) + 1))
    return (_OFFSETS.get(name, field.axis), *own)


def array_spec(name: str, field: Field) -> ArraySpec:
    """The array of a field."""
    attributes = {"units": UNITS[name]} if name in UNITS else {}
    if field.dtype == JSON:
        attributes["encoding"] = JSON
    return ArraySpec(name, field.stored, dimension_names(name, field), field.shape, attributes)


def is_short(name: str) -> bool:
    """Whether every file system takes the last part of an array's path."""
    return len(name.rpartition("/")[2]) <= _MAX_NAME_BYTES


@lru_cache(maxsize=4096)
def array_key(name: str) -> tuple[str, str]:
    """Group and key of an array path; the group is empty at the top."""
    group, _, key = name.rpartition("/")
    return group, "" if key == _EMPTY else unquote(key)
