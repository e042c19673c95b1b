"""Sink of meshes: files of VTK, one per item."""

from __future__ import annotations

import hashlib
import html
import logging
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np

from curator_core.domains.mesh.model import INTERIOR, Mesh, MeshPart
from curator_core.domains.mesh.vtk_reading.units import WHOLE, units_by_part
from curator_core.domains.mesh.vtk_writing import COMPRESSIONS, collection, multi_block, require_name, write_part
from curator_core.domains.mesh.zarr_groups.names import escaped
from curator_core.errors import ComponentError, ConfigError
from curator_core.formats.arrays import Array
from curator_core.formats.item_files import ItemFiles
from curator_core.pipeline.components import Sink, Source
from curator_core.storage.atomic import publish_directory, published, remove, temporary_sibling
from curator_core.storage.disk import writing

logger = logging.getLogger("curator")

TIME = "TimeValue"
"""Field data in which files of VTK have their time."""


class VTUSink(Sink[Mesh]):
    """Meshes as XML files of VTK, one per item, with types, order of points, dtypes and texts as they are.

    VTK has no bool, which becomes uint8, and no axis of one component: data of shape (n, 1) become (n,), and scalars
    of field data (1,). An item with data that it does not hold fails: complex and half-precision numbers, long doubles,
    dates, and matrices, such as (n, 3, 3).

    A mesh whose only part is ``interior`` is one file, VTU, or VTP where that is asked for. One of other parts is a VTM
    file, which has their names, and several meshes, such as the steps of a series, are a PVD file: either names the
    files of the parts, which lie in a folder beside it. Who opens the file finds all of one version. Data of the mesh,
    and its time as ``TimeValue``, are field data of every file. Where an item has another form than before, its former
    file stays, which may be of another origin, and the log names it; a VTM or PVD file whose parts are replaced goes
    with them.

    Parameters
    ----------
    folder
        Where the files go; created when absent.
    template
        Name of an item's file without its suffix, in the folder or below: ``{key}`` is the key of the item, ``{stem}``
        the key without the suffix of its file, ``{part}`` what comes after ``#`` in the key.
    format
        ``vtu``, or ``vtp`` for surfaces, lines and points: an item with other cells, or cells in an order that VTP does
        not have, fails.
    compression
        ``zlib``, ``lz4``, ``lzma`` or ``none``.

    Raises
    ------
    ConfigError
        A format, codec or template is none.
    """

    name: ClassVar[str] = "vtu_files"
    description: ClassVar[str] = "Meshes as VTU or VTP files, one per item"
    checks_arguments: ClassVar[bool] = True

    def __init__(
        self,
        folder: str,
        template: str = "{stem}",
        *,
        format: str = "vtu",  # noqa: A002 - as in VTK
        compression: str = "zlib",
    ) -> None:
        self._files = ItemFiles(folder, template, self.name)
        self._format, self._compression = format, compression
        if format not in ("vtu", "vtp"):
            raise ConfigError(f"{self.name}: format must be 'vtu' or 'vtp', not {format!r}.")
        if compression not in COMPRESSIONS:
            raise ConfigError(
                f"{self.name}: compression must be one of {', '.join(COMPRESSIONS)}, not {compression!r}."
            )

    def check(self) -> None:
        """Raise `ConfigError` when the folder is no local one that can be written to."""
        self._files.check()

    def set_source(self, source: Source[Mesh]) -> None:
        self._files.set_source(source)

    def __call__(self, items: Iterator[Mesh], index: int) -> list[str]:
        """Write the file of an item: it is there whole, or not at all.

        Raises
        ------
        ComponentError
            The format does not hold a mesh as it is, or the name is no file's in the folder.
        """
        try:
            path = self._files.path(index)
            meshes = list(items)
            for mesh in meshes:
                if not isinstance(mesh, Mesh):
                    raise ComponentError(f"An item gave {type(mesh).__name__}, expected Mesh.")  # noqa: TRY301
            if not meshes:
                raise ComponentError("The item gave no mesh.")  # noqa: TRY301
            path.parent.mkdir(parents=True, exist_ok=True)
            if len(meshes) == 1 and list(meshes[0].parts) == [INTERIOR]:
                return [self._write_single(meshes[0], path)]
            return self._write_several(meshes, path)
        except ComponentError as exc:
            if exc.component is not None:  # of a source or filter, which the values come from
                raise
            raise ComponentError(f"{self.name}: {exc}", component=self.name) from exc

    def _write_single(self, mesh: Mesh, path: Path) -> str:
        target = path.with_name(f"{path.name}.{self._format}")
        with published(target) as temporary:
            self._write_parts(mesh, {INTERIOR: temporary})
        self._say_others(path, target)
        return str(target)

    def _write_several(self, meshes: list[Mesh], path: Path) -> list[str]:
        """Write the parts to a folder that is named after what is in it, then the file that names them."""
        if len(meshes) > 1 and any(mesh.time is None for mesh in meshes):
            raise ComponentError(f"The item gave {len(meshes)} meshes, of which some have no time for a PVD file.")
        temporary = temporary_sibling(path)
        with writing(path):
            try:
                temporary.mkdir()
                names = [self._part_names(number, mesh, len(meshes)) for number, mesh in enumerate(meshes)]
                for mesh, own in zip(meshes, names, strict=True):
                    self._write_parts(mesh, {part: temporary / file for part, file in own.items()})
                folder = path.with_name(f"{path.name}_{_digest(temporary)}.parts")
                publish_directory(temporary, folder)
            finally:
                remove(temporary)
        placed = [{part: f"{folder.name}/{file}" for part, file in own.items()} for own in names]
        times = [0.0 if mesh.time is None else float(mesh.time) for mesh in meshes]
        is_series = len(meshes) > 1
        text = collection(list(zip(times, placed, strict=True))) if is_series else multi_block(placed[0])
        target = path.with_name(f"{path.name}.{'pvd' if is_series else 'vtm'}")
        with published(target) as staged:
            staged.write_text(text, encoding="utf-8")
        self._remove_parts(path, target, folder)
        self._say_others(path, target)
        return [str(target), str(folder)]

    def _remove_parts(self, path: Path, target: Path, folder: Path) -> None:
        """Remove former parts of an item, and a list of another form that names them."""
        parts = re.compile(re.escape(path.name) + r"_[0-9a-f]{16}\.parts")
        other = path.with_name(f"{path.name}.{'vtm' if target.suffix == '.pvd' else 'pvd'}")
        if other.is_file() and parts.search(html.unescape(other.read_text("utf-8", "replace"))):
            remove(other)
        for former in path.parent.iterdir():
            if former != folder and parts.fullmatch(former.name):
                remove(former)

    def _say_others(self, path: Path, target: Path) -> None:
        """Log which files of other forms are there, which may be of the item as it was before, or of another origin."""
        for suffix in ("vtu", "vtp", "vtm", "pvd"):
            other = path.with_name(f"{path.name}.{suffix}")
            if other != target and other.is_file():
                text = "%s: %s is written, and %s is there, too: remove it if it is what the item was before"
                logger.warning(text, self.name, target, other)

    def _part_names(self, number: int, mesh: Mesh, n_meshes: int) -> dict[str, str]:
        step = f"{number:06d}-" if n_meshes > 1 else ""
        return {name: f"{step}{escaped(name)}.{self._format}" for name in mesh.parts}

    def _write_parts(self, mesh: Mesh, paths: Mapping[str, Path]) -> None:
        own: dict[str, Array] = dict(mesh.field_data)
        if mesh.time is not None and TIME not in own:
            own[TIME] = np.array([mesh.time])
        units = units_by_part(mesh)
        whole = {path.replace("global_data", "field_data"): unit for path, unit in units[WHOLE].items()}
        for name, part in mesh:
            said = whole | units[name]
            try:
                require_name(name)
                made, is_poly = _with_field_data(part, own), self._format == "vtp"
                write_part(made, paths[name], self._compression, is_poly=is_poly, units=said)
            except ComponentError as exc:
                raise ComponentError(f"The part {name!r}: {exc}") from exc


def _with_field_data(part: MeshPart, own: Mapping[str, Array]) -> MeshPart:
    for name, values in own.items():
        if name in part.field_data and not np.array_equal(part.field_data[name], values):
            raise ComponentError(f"It has field data {name!r}, and the mesh has others of that name: rename one.")
    return part.with_data(field_data={**part.field_data, **own}) if own else part


def _digest(folder: Path) -> str:
    """Hash of the names and content of the files of a folder."""
    digest = hashlib.blake2b(digest_size=8)
    for path in sorted(folder.iterdir()):
        content = path.read_bytes()
        digest.update(f"{path.name}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()
