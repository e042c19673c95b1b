"""The reader of VTK for each kind of file, set so that it reads what is in the file."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, Final, NamedTuple

from curator_core.domains.mesh.vtk_reading.complete import require_whole_ply, require_whole_ucd
from curator_core.domains.mesh.vtk_reading.openfoam import is_decomposed
from curator_core.formats.netcdf_classic import require_whole


class Kind(NamedTuple):
    """A kind of file."""

    module: str
    """Of VTK."""
    reader: str
    """Class of the reader."""
    is_series: bool = False
    """Whether a file may hold several times."""
    set_up: Callable[[Any, str], None] = lambda _reader, _path: None
    """Sets it to read everything, before it is asked what there is."""


def _exodus(reader: Any, _path: str) -> None:  # noqa: ANN401 - VTK's
    reader.ApplyDisplacementsOff()  # points as they are in the file
    reader.UpdateInformation()
    for kind in range(_EXODUS_OBJECTS):
        for index in range(reader.GetNumberOfObjects(kind)):
            reader.SetObjectStatus(kind, index, 1)
        for index in range(reader.GetNumberOfObjectArrays(kind)):
            reader.SetObjectArrayStatus(kind, reader.GetObjectArrayName(kind, index), 1)


def _openfoam(reader: Any, path: str) -> None:  # noqa: ANN401 - as above
    reader.SkipZeroTimeOff()
    reader.SetCaseType(0 if is_decomposed(Path(path)) else 1)
    reader.UpdateInformation()
    reader.EnableAllPatchArrays()


def _cgns(reader: Any, _path: str) -> None:  # noqa: ANN401 - as above
    reader.LoadBndPatchOn()
    reader.UpdateInformation()
    reader.EnableAllBases()
    reader.EnableAllFamilies()


def _legacy(reader: Any, path: str) -> None:  # noqa: ANN401 - as above
    """Let it read `END` after a text, without which it makes up values where the text is cut off."""
    if is_text(path):
        content = Path(path).read_bytes() + f"\n{END}\n".encode()
        reader.ReadFromInputStringOn()
        reader.SetBinaryInputString(content, len(content))


def is_text(path: str) -> bool:
    """Whether a legacy file of VTK is one of text, of a size that its reader takes from memory."""
    with Path(path).open("rb") as file:
        lines = file.read(_START).splitlines()
    return lines[2:3] != [] and lines[2].strip().upper() == b"ASCII" and Path(path).stat().st_size < _MOST_OF_TEXT


END: Final = "curator_end"
"""Word after the end of texts, which VTK says that it does not know."""
_MOST_OF_TEXT: Final = (1 << 31) - 64
"""Bytes."""
_EXODUS_OBJECTS: Final = 101
"""Above the largest number of a kind of object, vtkExodusIIReader::ObjectType."""

EXODUS: Final = (".e", ".ex2", ".exo", ".exii")
"""Suffixes of Exodus files."""
ENSIGHT: Final = (".case", ".encas")
"""Suffixes of case files of EnSight."""
_EXODUS: Final = Kind("vtkIOExodus", "vtkExodusIIReader", is_series=True, set_up=_exodus)
_ENSIGHT: Final = Kind("vtkIOEnSight", "vtkGenericEnSightReader", is_series=True)
_OPENFOAM: Final = Kind("vtkIOParallel", "vtkPOpenFOAMReader", is_series=True, set_up=_openfoam)
_VTKHDF: Final = Kind("vtkIOHDF", "vtkHDFReader", is_series=True)

KINDS: Final[dict[str, Kind]] = {
    ".vtk": Kind("vtkIOLegacy", "vtkDataSetReader", set_up=_legacy),
    ".vtu": Kind("vtkIOXML", "vtkXMLUnstructuredGridReader"),
    ".vtp": Kind("vtkIOXML", "vtkXMLPolyDataReader"),
    ".vts": Kind("vtkIOXML", "vtkXMLStructuredGridReader"),
    ".vtr": Kind("vtkIOXML", "vtkXMLRectilinearGridReader"),
    ".vti": Kind("vtkIOXML", "vtkXMLImageDataReader"),
    ".pvtu": Kind("vtkIOXML", "vtkXMLPUnstructuredGridReader"),
    ".pvtp": Kind("vtkIOXML", "vtkXMLPPolyDataReader"),
    ".pvts": Kind("vtkIOXML", "vtkXMLPStructuredGridReader"),
    ".pvtr": Kind("vtkIOXML", "vtkXMLPRectilinearGridReader"),
    ".pvti": Kind("vtkIOXML", "vtkXMLPImageDataReader"),
    ".vtm": Kind("vtkIOXML", "vtkXMLMultiBlockDataReader"),
    ".vtmb": Kind("vtkIOXML", "vtkXMLMultiBlockDataReader"),
    ".vtpd": Kind("vtkIOXML", "vtkXMLPartitionedDataSetReader"),
    ".vtpc": Kind("vtkIOXML", "vtkXMLPartitionedDataSetCollectionReader"),
    ".vtkhdf": _VTKHDF,
    ".hdf": _VTKHDF,
    **dict.fromkeys(EXODUS, _EXODUS),
    **dict.fromkeys(ENSIGHT, _ENSIGHT),
    ".cgns": Kind("vtkIOCGNSReader", "vtkCGNSReader", is_series=True, set_up=_cgns),
    ".foam": _OPENFOAM,
    "controldict": _OPENFOAM,
    ".stl": Kind("vtkIOGeometry", "vtkSTLReader"),
    ".obj": Kind("vtkIOGeometry", "vtkOBJReader"),
    ".ply": Kind("vtkIOPLY", "vtkPLYReader"),
    ".inp": Kind("vtkIOGeometry", "vtkAVSucdReader"),
    ".nc": Kind("vtkIONetCDF", "vtkNetCDFUGRIDReader", is_series=True),
}
"""By suffix, in lower case; by name, where a file has none."""


_START: Final = 4096
_LINES: Final = 50


def suffix_of(name: str) -> str:
    """What says the kind of a file by its name: the suffix, in lower case, or the name where there is none."""
    path = Path(name)
    return (path.suffix or path.name).lower()


def is_abaqus(path: str) -> bool:
    """Whether a file with the suffix ``.inp`` is of Abaqus, whose keywords begin with an asterisk, and not AVS UCD."""
    with Path(path).open("rb") as file:
        lines = file.read(_START).splitlines()
    return any(line.lstrip().startswith(b"*") for line in lines[:_LINES])


def opened(path: str, suffix: str) -> Any:  # noqa: ANN401 - a reader of VTK
    """A reader that has looked at what is in a file.

    Raises
    ------
    ValueError
        No reader is known for such a file.
    """
    kind = KINDS.get(suffix)
    if kind is None:
        raise ValueError(f"{suffix!r} is no kind of file that is read here; there are {', '.join(sorted(KINDS))}")
    if suffix == ".inp" and is_abaqus(path):
        raise ValueError("it is a file of Abaqus, which VTK does not read: use the source meshio")
    if suffix == ".inp":
        require_whole_ucd(Path(path))
    if suffix == ".ply":
        require_whole_ply(Path(path))
    require_whole(Path(path))  # of NetCDF-3: VTK reads zeros where a file of Exodus is cut off
    reader = getattr(import_module(f"vtkmodules.{kind.module}"), kind.reader)()
    if kind is _ENSIGHT:
        reader.SetCaseFileName(path)
    else:
        reader.SetFileName(path)
    kind.set_up(reader, path)
    reader.UpdateInformation()
    return reader
