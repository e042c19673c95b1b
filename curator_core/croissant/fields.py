"""Record sets and their fields, in the terms of Croissant 1.1."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote

Json = dict[str, Any]

CARDINALITY: Final = "http://www.wikidata.org/entity/Q4049983"
_NUMBERS: Final = re.compile(r"(u?int|float)(8|16|32|64)")
_PLAIN: Final[Mapping[str, str]] = {
    "bool": "sc:Boolean",
    "string": "sc:Text",
    "variable_length_utf8": "sc:Text",
    "fixed_length_utf32": "sc:Text",
    "null_terminated_bytes": "sc:Text",
    "variable_length_bytes": "sc:Text",
    "bytes": "sc:Text",
    "numpy.datetime64": "sc:DateTime",
    "datetime": "sc:DateTime",
    "date": "sc:Date",
    "time": "sc:Time",
    "decimal": "sc:Float",
}
"""Croissant's types by the names of Zarr, and of the table's kinds."""


def data_type(name: str) -> str:
    """Croissant's type for a type of NumPy or Zarr; empty where it has none, as for complex numbers."""
    found = _NUMBERS.fullmatch(name)
    if found is not None:
        kind = {"int": "Int", "uint": "UInt", "float": "Float"}[found[1]]
        return f"cr:{kind}{found[2]}"
    return _PLAIN.get(name, "")


@dataclass(frozen=True, slots=True)
class Column:
    """An array or a column: what a record has of it."""

    name: str
    """Its name in the files."""
    dtype: str
    """Croissant's type; empty where it has none."""
    shape: tuple[int, ...] = ()
    """Of one record, ``-1`` where it differs; empty for one value."""
    unit: str = ""
    """Unit of the values."""
    description: str = ""
    """What it means."""
    parts: tuple[Column, ...] = ()
    """Members of a structure."""


@dataclass(slots=True)
class RecordSet:
    """Records that have the same fields."""

    name: str
    """Its id."""
    source: Json
    """Reference to the files."""
    columns: list[Column] = field(default_factory=list)
    """Its fields."""
    n_records: int | None = None
    """Number of records, where it is known."""
    description: str = ""
    """What a record is."""
    key: str = ""
    """Name of the column that names a record."""

    def described(self, annotations: Mapping[str, Sequence[Json]], references: Mapping[str, str]) -> Json:
        """As JSON-LD.

        Parameters
        ----------
        annotations
            What is said of a column besides, by its name.
        references
            Field of another record set that a column refers to, by its name.
        """
        ids: dict[str, str] = {}
        for column in self.columns:
            ids[column.name] = self._id(column.name, ids.values())
        fields = []
        for column in self.columns:
            if column.dtype or column.parts:
                own = self._field(column, ids[column.name], {"column": column.name})
                if column.name in references:
                    own["references"] = {"field": {"@id": references[column.name]}}
                if given := [{**a, "@id": f"{ids[column.name]}/{a['@id']}"} for a in annotations.get(column.name, ())]:
                    own["annotation"] = given
                fields.append(own)
        return {
            "@type": "cr:RecordSet",
            "@id": quoted(self.name),
            "name": self.name,
            **({"description": text} if (text := self._text()) else {}),
            **({"key": {"@id": ids[self.key]}} if self.key in ids else {}),
            **({} if self.n_records is None else {"annotation": [self._count()]}),
            "field": fields,
        }

    def _id(self, name: str, taken: Any) -> str:  # noqa: ANN401 - a view of a mapping
        found = f"{quoted(self.name)}/{quoted(name.removeprefix(f'{self.name}/'))}"
        while found in taken:
            found += "_"
        return found

    def _field(self, column: Column, name: str, extract: Json, transform: Json | None = None) -> Json:
        source = {**self.source, "extract": extract, **({} if transform is None else {"transform": transform})}
        about = [column.description, f"in {column.unit}" if column.unit else ""]
        found: Json = {"@type": "cr:Field", "@id": name, "name": column.name}
        if text := ", ".join(filter(None, about)):
            found["description"] = text
        if column.parts:
            found["subField"] = [
                self._field(part, f"{name}/{quoted(part.name)}", extract, {"jsonPath": f'"{part.name}"'})
                for part in column.parts
            ]
            return found
        found["dataType"] = column.dtype
        if column.shape:
            found |= {"isArray": True, "arrayShape": ",".join(map(str, column.shape))}
        if column.unit:
            found["unitText"] = column.unit
        return found | {"source": source}

    def _text(self) -> str:
        without = [column.name for column in self.columns if not (column.dtype or column.parts)]
        left_out = f"No one type of Croissant holds what is in {', '.join(without)}: left out here." if without else ""
        return " ".join(filter(None, (self.description, left_out)))

    def _count(self) -> Json:
        return annotation("sc:Integer", "count", self.n_records, CARDINALITY) | {"@id": f"{quoted(self.name)}/(count)"}


def annotation(kind: str | list[str], name: str, value: object, same_as: str = "", description: str = "") -> Json:
    """A number that is said of a field or a record set.

    Parameters
    ----------
    kind
        Its type.
    name
        What it is; its id below that of what it is said of.
    value
        The number.
    same_as
        The property of another vocabulary that it is.
    description
        What it is taken over.
    """
    return {
        "@type": "cr:Field",
        "@id": quoted(name),
        "name": name,
        **({"description": description} if description else {}),
        "dataType": kind,
        **({"equivalentProperty": same_as} if same_as else {}),
        "value": value,
    }


def quoted(name: str) -> str:
    """A name as part of an id, which is a relative IRI."""
    return quote(name, safe="/[]=,()")
