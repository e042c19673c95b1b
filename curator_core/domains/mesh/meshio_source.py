"""Source of the meshes that VTK does not read."""

from __future__ import annotations

import mmap
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, ClassVar, Final

from curator_core.domains.mesh.fenced import checked_limit, read_fenced
from curator_core.domains.mesh.fenced.exchange import unpacked
from curator_core.domains.mesh.model import Mesh
from curator_core.domains.mesh.vtk_reading.belonging import digest_of
from curator_core.domains.mesh.vtk_reading.readers import is_abaqus, suffix_of
from curator_core.domains.mesh.vtk_reading.selecting import require_known
from curator_core.errors import ConfigError
from curator_core.pipeline.annotations import SECRET, UNRECORDED
from curator_core.sources.files import FileItem, FileSource

_FORMATS: Final[dict[str, str]] = {
    ".bdf": "nastran",
    ".nas": "nastran",
    ".fem": "nastran",
    ".su2": "su2",
    ".med": "med",
    ".mesh": "medit",
    ".meshb": "medit",
    ".vol": "netgen",
    ".off": "off",
    ".ugrid": "ugrid",
    ".dat": "tecplot",
    ".tec": "tecplot",
    ".dato": "permas",
    ".f3grid": "flac3d",
    ".mdpa": "mdpa",
    ".node": "tetgen",
    ".ele": "tetgen",
    ".xdmf": "xdmf",
    ".xmf": "xdmf",
}
"""Formats of meshio by suffix; of ``.msh`` and ``.inp``, of which there are two each, the content says which."""
_AVS_UCD: Final = "avs-ucd"
"""The format that VTK reads, of those that have the suffix ``.inp``."""
_START: Final = 4096
_INCLUDED: Final = re.compile(rb"^\*INCLUDE\b.*=[ \t]*([^=\r\n]+?)[ \t\r]*$", re.IGNORECASE | re.MULTILINE)
_HDF5: Final = re.compile(rb">\s*([^<>:\s]+\.h5):")


class MeshioSource(FileSource[Mesh]):
    """Meshes from the files that VTK does not read, with meshio, in a process beside this one.

    Those are gmsh and Ansys (``msh``), Abaqus and AVS UCD (``inp``, by what is in the file), Nastran (``bdf``, ``nas``,
    ``fem``), SU2, MED, Medit (``mesh``), Netgen (``vol``), OFF, AFLR (``ugrid``), Tecplot (``tec``,
    ``dat``), Permas, FLAC3D, Kratos (``mdpa``), TetGen (``node``) and XDMF. The mesh is the part ``interior``. Sets of
    points and cells are data with their names, 1 where a point or cell belongs to it; physical groups of gmsh and
    markers of SU2 are numbers in the data of cells, with the names of the numbers in the field data of the part.

    Parameters
    ----------
    root
        Folder to search, sub-folders included, or a URL, see `VTKSource`.
    pattern
        Glob pattern of the file names.
    arrays
        Names of point and cell data that are kept; all by default.
    storage_options
        Credentials and the like for a URL, by obstore's names; otherwise, those of the environment.
    cache_size
        How much is kept of what was downloaded, such as ``20 GB``; see `CURATOR_DOWNLOAD_CACHE_SIZE`.
    timeout
        How long the process may take to read a file, seconds, on every backend; beyond, it is ended, and the item
        fails. ``None`` for no limit.

    Raises
    ------
    ConfigError
        No array is named, or `timeout` is no number of seconds.

    Notes
    -----
    Points of wedges are in VTK's order, which is another one than that of the files. meshio ends its process where it
    cannot read a file, and warns of what it leaves out: both are errors of the item, and so is a mesh without points or
    cells.
    """

    name: ClassVar[str] = "meshio"
    description: ClassVar[str] = "Meshes from gmsh, Abaqus, Nastran, SU2, MED and other files that VTK does not read"
    checks_arguments: ClassVar[bool] = True

    def __init__(
        self,
        root: str,
        pattern: str = "*.msh",
        arrays: Sequence[str] | None = None,
        *,
        storage_options: Annotated[Mapping[str, str | bool | int] | None, SECRET] = None,
        cache_size: Annotated[int | str | None, UNRECORDED] = None,
        timeout: Annotated[float | None, UNRECORDED] = 3600.0,
    ) -> None:
        if arrays is not None and not arrays:
            raise ConfigError(f"{self.name}: arrays names none; leave it out for all of them.")
        self._limit_s = checked_limit(timeout, self.name)
        super().__init__(root, pattern, storage_options=storage_options, cache_size=cache_size)
        self._arrays = None if arrays is None else list(arrays)

    def file_fingerprint(self, path: Path) -> str | None:
        """Size, modification time and inode of a file and of those that it names."""
        own = super().file_fingerprint(path)
        try:
            files = list(_belonging(path)) if own is not None else []
            return f"{own}-{digest_of(files, path.parent)}" if files else own
        except (OSError, ValueError):  # fails when it is read, with its reason
            return own

    def read(self, item: FileItem) -> Iterator[Mesh]:
        """Yield the mesh of a file."""
        file_format = _format_of(item.path, suffix_of(item.place))
        arguments = {"path": str(item.path), "arrays": self._arrays}
        if file_format == _AVS_UCD:
            function = "curator_core.domains.mesh.vtk_reading.reading:read"
            arguments |= {"suffix": ".inp", "step": None, "blocks": "split", "geometry": "as is"}
        else:
            function = "curator_core.domains.mesh.meshio_files:read"
            arguments |= {"file_format": file_format}
        answer = read_fenced(function, arguments, limit_s=self._limit_s)
        require_known(self._arrays, answer.about["known"])
        yield unpacked(answer.about, answer.arrays)


def _format_of(path: Path, suffix: str) -> str:
    """The format of a file by its suffix, or by its content where two have one suffix.

    Raises
    ------
    ValueError
        It is none that meshio reads.
    """
    if suffix not in (".inp", ".msh", ".avs"):
        if suffix not in _FORMATS:
            known = ", ".join(sorted([*_FORMATS, ".inp", ".msh", ".avs"]))
            raise ValueError(f"{suffix!r} is no kind of file that is read with meshio here; there are {known}")
        return _FORMATS[suffix]
    if suffix == ".msh":
        with path.open("rb") as file:
            return "gmsh" if file.read(_START).lstrip().startswith(b"$") else "ansys"
    return "abaqus" if suffix == ".inp" and is_abaqus(str(path)) else _AVS_UCD


def _belonging(path: Path) -> Iterable[Path]:
    suffix = path.suffix.lower()
    if suffix in (".node", ".ele"):
        return [path.with_suffix(".ele" if suffix == ".node" else ".node")]
    waiting, found = [path], set[Path]()
    while waiting:
        named = [other for other in _named_in(waiting.pop()) if other not in found]
        found.update(named)
        waiting += named
    return found


def _named_in(path: Path) -> Iterable[Path]:
    pattern = {".inp": _INCLUDED, ".xdmf": _HDF5, ".xmf": _HDF5}.get(path.suffix.lower())
    if pattern is None or not path.is_file() or not path.stat().st_size:
        return []
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return [path.parent / name.decode(errors="replace") for name in set(pattern.findall(content))]
