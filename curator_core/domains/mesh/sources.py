"""Sources of meshes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np

from curator_core.domains.mesh.beside import Beside
from curator_core.domains.mesh.fenced import checked_limit, read_fenced
from curator_core.domains.mesh.fenced.exchange import unpacked
from curator_core.domains.mesh.model import INTERIOR, Mesh
from curator_core.domains.mesh.vtk_reading.belonging import digest_of, fingerprint, of_members, openfoam_files
from curator_core.domains.mesh.vtk_reading.listed import SERIES, add, steps_of
from curator_core.domains.mesh.vtk_reading.openfoam import CASES, case_folder
from curator_core.domains.mesh.vtk_reading.readers import KINDS, suffix_of
from curator_core.domains.mesh.vtk_reading.selecting import require_known
from curator_core.domains.mesh.vtk_reading.units import WHOLE, units_by_part, units_of_mesh
from curator_core.errors import ConfigError
from curator_core.formats.arrays import Array
from curator_core.pipeline.annotations import SECRET, UNRECORDED
from curator_core.sources.files import FileItem, FileSource

_READING = "curator_core.domains.mesh.vtk_reading.reading"
_LISTING_S = 60.0
"""How long a file may take to say its times, seconds: a run that lists them has no deadline."""


class VTKSource(FileSource[Mesh]):
    """Meshes from the files that VTK reads, in a process beside this one: what kills it fails one item.

    Those are VTK's own (``vtk``, ``vtu``, ``vtp``, ``vts``, ``vtr``, ``vti``, their parallel ``pvtu`` …, ``vtm``,
    ``vtpd``, ``vtpc``, ``vtkhdf``), collections by time (``pvd``, ``vtu.series``), Exodus (``exo``, ``e``, ``ex2``),
    EnSight (``case``), CGNS, OpenFOAM cases (``foam``, or ``system/controlDict``), ``stl``, ``ply``, ``obj``, UGRID
    (``nc``) and AVS UCD (``inp``). Blocks are parts of the mesh, those of an OpenFOAM case ``interior`` and
    ``boundaries/inlet``. When a file changes that another one names, such as a piece, the item is due again.

    Parameters
    ----------
    root
        Folder to search, sub-folders included; a path, or a URL: ``file://``, ``s3://``, ``gs://``, ``az://``,
        ``https://``, ``http://``.
    pattern
        Glob pattern of the file names.
    arrays
        Names of point and cell data that are read; all by default.
    time
        ``all``: every time of a file is an item, named after it, such as ``case.foam#0.5``. ``last``: the last one of
        every file. A number: the one at that position, from 0.
    blocks
        ``split``: every block is a part. ``merge``: one part of all blocks, which must have the same data. The path of
        a block, such as ``boundaries/inlet``, or of several: those alone.
    geometry
        ``as is``: points and cells. ``surface``: the outer faces of volumes, curved ones as triangles between all their
        points. ``points``: points alone, with their data. ``centroids``: centres of cells, with the data of the cells.
    part
        Name of the part of a file without blocks.
    others
        Files that belong to the same mesh, by the name of their part, relative to the file: with the pattern
        ``boundary_*.vtp``, ``{"volume": "volume_{0}.vtu"}``. What the first asterisk of the pattern's last part stands
        for is ``{0}``, the second ``{1}``, and the name of the file's folder ``{folder}``. Times are read by their
        position, and have to be the same. Field data of such a mesh become those of each of its parts.
    global_data
        A CSV or JSON file with values of the case, alike, such as ``../parameters.csv``: they become the field data of
        the mesh, numbers as float64; other values than field data of that name fail the item.
    global_row
        What stands in the first column of the row that is meant, or over it in JSON, alike; needed unless it has one.
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
        No array is named, or no block; a path names what the pattern has not; files beside are meant at a URL; or
        `timeout` is no number of seconds.

    Notes
    -----
    What VTK says, errors and warnings alike, is the item's error: it goes on with what it has, otherwise. So is a file
    without points or cells.
    """

    name: ClassVar[str] = "vtk"
    description: ClassVar[str] = "Meshes from VTK, OpenFOAM, Exodus, EnSight, CGNS, STL, PLY and OBJ files"
    checks_arguments: ClassVar[bool] = True

    def __init__(
        self,
        root: str,
        pattern: str = "*.vtu",
        arrays: Sequence[str] | None = None,
        *,
        time: Literal["all", "last"] | int = "all",
        blocks: str = "split",
        geometry: Literal["as is", "surface", "points", "centroids"] = "as is",
        part: str = INTERIOR,
        others: Mapping[str, str] | None = None,
        global_data: str | None = None,
        global_row: str | None = None,
        storage_options: Annotated[Mapping[str, str | bool | int] | None, SECRET] = None,
        cache_size: Annotated[int | str | None, UNRECORDED] = None,
        timeout: Annotated[float | None, UNRECORDED] = 3600.0,
    ) -> None:
        if arrays is not None and not arrays:
            raise ConfigError(f"{self.name}: arrays names none; leave it out for all of them.")
        if not blocks.strip("/"):
            raise ConfigError(f"{self.name}: blocks is 'split', 'merge' or the path of a block, not {blocks!r}.")
        self._limit_s = checked_limit(timeout, self.name)
        super().__init__(root, pattern, storage_options=storage_options, cache_size=cache_size)
        if self._remote is not None and (others or global_data):
            raise ConfigError(f"{self.name}: others and global_data are read from local folders: copy them first.")
        self._beside = Beside(pattern, others or {}, global_data, global_row)
        self._part = part
        self._time = time
        self._reading: dict[str, Any] = {
            "arrays": None if arrays is None else list(arrays),
            "blocks": blocks,
            "geometry": geometry,
        }

    def file_fingerprint(self, path: Path) -> str | None:
        """Size, modification time and inode of a file and of those that belong to it; the values of the case."""
        try:
            own = fingerprint(path, suffix_of(path.name))
        except (OSError, ValueError):  # fails when it is read, with its reason
            own = super().file_fingerprint(path)
        return own if own is None else own + self._print_beside(path)

    def _print_beside(self, path: Path) -> str:
        if self._beside.is_empty:
            return ""
        return f"-{digest_of(of_members(self._beside.files(path).values()), path.parent)}-{self._beside.digest(path)}"

    def splits(self) -> bool:
        suffix = suffix_of(self._pattern)
        return self._time == "all" and (suffix not in KINDS or KINDS[suffix].is_series)

    def split(self, file: FileItem) -> Iterable[FileItem]:
        """The times of a file, where all of them are asked for; the file, where it has none."""
        suffix = suffix_of(file.place)
        if suffix in SERIES:
            steps = steps_of(file.path)
            prints = [digest_of(of_members(step.members.values()), file.path.parent) for step in steps]
            parts = [file.part(_label(step.time), at, at + 1) for at, step in enumerate(steps)]
            return [self._printed(part, own) for part, own in zip(parts, prints, strict=True)]
        if suffix not in KINDS or not KINDS[suffix].is_series:
            return [file]
        times = read_fenced(f"{_READING}:times", {"path": str(file.path), "suffix": suffix}, limit_s=_LISTING_S).about
        parts = [file.part(_label(time), at, at + 1) for at, time in enumerate(times)]
        return [self._printed(part, _print_of_time(part)) for part in parts] or [file]

    def _printed(self, part: FileItem, own: str | None) -> FileItem:
        return part if own is None else replace(part, fingerprint=own + self._print_beside(part.path))

    def read(self, item: FileItem) -> Iterator[Mesh]:
        """Yield the mesh of a file, or of one of its times, with what belongs to it."""
        label = item.key.rpartition("#")[2] if item.stop is not None else None
        step = item.start if label is not None else -1 if self._time == "last" else self._time
        known: set[str] = set()
        mesh = self._mesh(item.path, suffix_of(item.place), step, known)
        if label is not None and (mesh.time is None or _label(mesh.time) != label):
            raise ValueError(f"its times are others than when it was listed: {mesh.time} in place of {label}")
        if self._part != INTERIOR and {self._part, INTERIOR} <= mesh.parts.keys():
            raise ValueError(f"it has a part {self._part!r} beside {INTERIOR!r}: give that another name with part=")
        parts = {self._part if name == INTERIOR else name: part for name, part in mesh}
        units = {self._part if name == INTERIOR else name: own for name, own in units_by_part(mesh).items()}
        for other, path in self._beside.files(item.path).items():
            if not path.is_file():
                raise ValueError(f"{path} is missing, which belongs to it as {other!r}")
            found = self._mesh(path, suffix_of(path.name), step, known)
            if isinstance(step, int) and not _is_same_time(mesh.time, found.time):
                raise ValueError(
                    f"{path}, which belongs to it as {other!r}, has time {found.time} where it has {mesh.time}"
                )
            said = units_by_part(found)
            whole = {path.replace("global_data", "field_data"): unit for path, unit in said[WHOLE].items()}
            for name, part in found:
                own = _joined(found.field_data, part.field_data, f"{path} has field data of its part {name!r}")
                full = other if name == INTERIOR else f"{other}/{name}"
                add(parts, full, part.with_data(field_data=own))
                add(units, full, whole | said[name])
        require_known(self._reading["arrays"], known)
        values = self._beside.values(item.path)
        about = _joined(mesh.field_data, values, "global_data has values")
        yield Mesh(parts, about, mesh.time, units_of_mesh(parts, units, about))

    def _mesh(self, path: Path, suffix: str, step: int | str, known: set[str]) -> Mesh:
        where = {"path": str(path), "suffix": suffix, "step": step if isinstance(step, int) else None}
        answer = read_fenced(f"{_READING}:read", where | self._reading, limit_s=self._limit_s)
        known.update(answer.about["known"])
        return unpacked(answer.about, answer.arrays)


def _joined(one: Mapping[str, Array], other: Mapping[str, Array], what: str) -> dict[str, Array]:
    """Data of two places; `ValueError` where they differ under one name, of which one would be lost."""
    for name in one.keys() & other.keys():
        if not np.array_equal(one[name], other[name]):
            raise ValueError(f"{what} under the name {name!r}, and the mesh has other field data of that name")
    return {**one, **other}


def _label(time: float) -> str:
    """A time as text that gives it again: ``0.5``, ``1``."""
    return repr(time).removesuffix(".0")


def _is_same_time(one: float | None, other: float | None) -> bool:
    """Whether two files may be of one time: one of them says none, or they differ by what float32 leaves out."""
    return one is None or other is None or math.isclose(one, other, rel_tol=1e-6, abs_tol=1e-12)


def _print_of_time(part: FileItem) -> str | None:
    """Digest of the folder of a time of an OpenFOAM case, and of the mesh; ``None`` for others."""
    if suffix_of(part.place) not in CASES or part.url is not None:
        return None
    name = part.key.rpartition("#")[2]
    case = case_folder(part.path)
    if not any((folder / name).is_dir() for folder in (case, *case.glob("processor[0-9]*"))):  # it has another name
        return None
    return digest_of(openfoam_files(part.path, name), part.path.parent)
