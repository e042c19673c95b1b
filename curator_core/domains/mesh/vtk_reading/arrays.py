"""Which arrays a reader of VTK reads."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pyvista as pv

from curator_core.domains.mesh.model import MeshPart
from curator_core.formats.arrays import Array

_SELECTION: Final = re.compile(r"Get(Point|Cell|Face|Lagrangian)DataArraySelection")
_STATUS: Final = re.compile(r"Set(\w+Result)ArrayStatus")
_OF_THIS_MACHINE: Final = frozenset({"CasePath"})
"""Field data that name a place."""
_RECORDS: Final = ("QA_Records", "Info_Records")


def select_arrays(reader: Any, arrays: Sequence[str] | None) -> set[str]:  # noqa: ANN401 - VTK's
    """Let a reader leave out the arrays that are not named, as far as it can; those that it knows."""
    known = set()
    for method in dir(reader):
        if _SELECTION.fullmatch(method):
            selection = getattr(reader, method)()
            for index in range(selection.GetNumberOfArrays()):
                name = selection.GetArrayName(index)
                known.add(name)
                selection.SetArraySetting(name, int(arrays is None or name in arrays))
        elif found := _STATUS.fullmatch(method):  # Exodus
            kind = found[1]
            for index in range(getattr(reader, f"GetNumberOf{kind}Arrays")()):
                name = getattr(reader, f"Get{kind}ArrayName")(index)
                known.add(name)
                getattr(reader, method)(name, int(arrays is None or name in arrays))
    if hasattr(reader, "ReadAllScalarsOn"):  # legacy files: of several, the first alone by default
        for what in ("Scalars", "Vectors", "Normals", "Tensors", "ColorScalars", "TCoords", "Fields"):
            getattr(reader, f"ReadAll{what}On")()
    return known


def field_data_of(data: Any) -> dict[str, Array]:  # noqa: ANN401 - as above
    """The field data of a data object, without what names a place on this machine."""
    found = data.GetFieldData()
    named = {}
    for index in range(found.GetNumberOfArrays()):
        array = found.GetAbstractArray(index)
        name = array.GetName() or f"unnamed_{index}"
        if name not in _OF_THIS_MACHINE:
            named[name] = np.asarray(pv.convert_array(array))
    return named


def with_texts(part: MeshPart) -> MeshPart:
    """Records of Exodus as texts: after their ends, VTK leaves whatever was in memory."""
    data = {name: _texts(values) if name in _RECORDS else values for name, values in part.field_data.items()}
    return part.with_data(field_data=data)


def _texts(values: Array) -> Array:
    rows = np.ascontiguousarray(values).view(np.uint8)
    return np.array([bytes(row).partition(b"\0")[0].decode(errors="replace") for row in rows], dtype=np.str_)
