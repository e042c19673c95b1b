"""Publishing a dataset of groups: the files of groups that did not change are linked, and so are those of workers."""

from __future__ import annotations

import errno
import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np

from curator_core.datasets.contents import content_signature
from curator_core.domains.mesh.zarr_groups.arrays import data_paths, kind_of
from curator_core.domains.mesh.zarr_groups.names import MESHES, mesh_name
from curator_core.domains.mesh.zarr_groups.published import (
    FORMAT,
    FORMAT_VERSION,
    MeshGroup,
    PublishedMeshes,
    table_specs,
)
from curator_core.domains.mesh.zarr_groups.writing import FILES, HEAD, LARGE_BYTES, GroupLayout
from curator_core.errors import ComponentError, MergeError
from curator_core.formats.arrays import TEXT, Array
from curator_core.formats.described import METADATA
from curator_core.formats.zarr_metadata import UNREADABLE, table_array, table_files, write_hierarchy
from curator_core.pipeline.components import MergeItem
from curator_core.storage.atomic import link_or_copy, sync
from curator_core.storage.base import OutputLocation
from curator_core.storage.locations import location_of

GROUP_METADATA = b'{"zarr_format": 3, "node_type": "group", "attributes": {}}'
"""What the group of all meshes says of itself."""
_SHARED_BYTES: Final = 4096
"""Smaller arrays take a block of the file system in any case."""


def publish_meshes(layout: GroupLayout, items: Sequence[MergeItem], previous: str | None, path: str | Path) -> None:
    """Write the dataset of some items to a new folder, from parts and from the dataset before.

    The bytes depend on the items, their versions and the layout alone.

    Parameters
    ----------
    layout
        How arrays are cut.
    items
        The items, in the order of the dataset; those without a part are taken from `previous`.
    previous
        The dataset before, if any.
    path
        Folder to create, on the file system of the parts; what is kept of a repository is in it by name.

    Raises
    ------
    MergeError
        A part, or an item of the previous dataset, is missing or damaged.
    """
    try:
        before = None if previous is None else PublishedMeshes(location_of(previous))
        _Publication(layout, items, before, Path(path)).write()
    except MergeError:
        raise
    except ComponentError as exc:
        raise MergeError(str(exc)) from exc


class _Files(Protocol):
    """Where the files of a mesh are."""

    def size(self, name: str) -> int:
        """Size of a file in bytes."""

    def give(self, name: str, target: Path) -> None:
        """Put a file where it belongs."""


@dataclass(frozen=True, slots=True)
class _InFolder:
    """Files of a new mesh."""

    folder: Path
    copies_below: int
    """Smaller files are copied, and made durable with all that is new; others, which are durable, are linked."""

    def size(self, name: str) -> int:
        return (self.folder / name).stat().st_size

    def give(self, name: str, target: Path) -> None:
        source = self.folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if self.copies_below and self.size(name) < self.copies_below:
            shutil.copyfile(source, target)
        else:
            link_or_copy(source, target)


@dataclass(frozen=True, slots=True)
class _Published:
    """Files of a mesh of the dataset before."""

    location: OutputLocation
    sizes: Mapping[str, int]
    group: str

    def size(self, name: str) -> int:
        try:
            return self.sizes[f"{MESHES}/{self.group}/{name}"]
        except KeyError:
            raise FileNotFoundError(
                errno.ENOENT, "not there", f"{self.location.path}/{MESHES}/{self.group}/{name}"
            ) from None

    def give(self, name: str, target: Path) -> None:
        self.location.keep(f"{MESHES}/{self.group}/{name}", target)


@dataclass(slots=True)
class _Stored:
    """Where the files of an array are."""

    files: _Files
    array: str
    new_in: Path | None = None
    """Folder of the mesh, as long as its files are not durable."""


@dataclass(slots=True)
class _Tables:
    """Columns of the tables that grow with each mesh."""

    item: list[int] = field(default_factory=list)
    group: list[str] = field(default_factory=list)
    n_points: list[int] = field(default_factory=list)
    n_cells: list[int] = field(default_factory=list)
    time: list[float] = field(default_factory=list)
    checksum: list[str] = field(default_factory=list)

    def add(self, item: int, name: str, group: MeshGroup) -> None:
        parts, time = group.attributes["parts"], group.attributes["time"]
        self.item.append(item)
        self.group.append(name)
        self.n_points.append(sum(part["n_points"] for part in parts))
        self.n_cells.append(sum(part["n_cells"] for part in parts))
        self.time.append(np.nan if time is None else time)
        self.checksum.append(group_checksum(group.content))


def group_checksum(content: bytes) -> str:
    """Checksum of the ``zarr.json`` of a mesh, which has those of all other files."""
    return hashlib.blake2b(content, digest_size=16).hexdigest()


class _Publication:
    """One publication.

    Parameters
    ----------
    layout, items, before, path
        As of `publish_meshes`.
    """

    def __init__(
        self, layout: GroupLayout, items: Sequence[MergeItem], before: PublishedMeshes | None, path: Path
    ) -> None:
        self._layout, self._items, self._before, self._path = layout, items, before, path
        self._former = {} if before is None else {key: number for number, key in enumerate(before.keys)}
        self._arrays = ArraySummary()
        self._tables = _Tables()
        self._known: dict[tuple[str, int], _Stored] = {}

    def write(self) -> None:
        """Write the folder."""
        meshes = self._path / MESHES
        meshes.mkdir(parents=True)
        (meshes / METADATA).write_bytes(GROUP_METADATA)
        if self._before is not None and self._before.location.has_links:
            for item in self._items:
                if item.shard is None:  # before those that are new: what both have is linked to what is there
                    for _, files, group in self._groups_of(item):
                        for array in group.attributes[FILES]:
                            self._known[_content_of(group, array)] = _Stored(files, array)
        counts = []
        for number, item in enumerate(self._items):
            n_meshes = 0
            for name, files, group in self._groups_of(item):
                self._place(item, files, group, meshes / name)
                self._tables.add(number, name, group)
                self._arrays.add(group)
                n_meshes += 1
            counts.append(n_meshes)
        self._describe(counts)

    def _groups_of(self, item: MergeItem) -> Iterator[tuple[str, _Files, MeshGroup]]:
        """Name, files and description of each mesh of an item."""
        if item.shard is not None:
            yield from _of_part(item.key, item.shard)
            return
        before, number = self._before, self._former.get(item.key, -1)
        if before is None or number < 0 or before.tables["items/version"][number] != item.version:
            raise MergeError(f"Item {item.key!r} has no shard and is not in the previous dataset; process it again.")
        for name in before.names_of(number):
            yield name, _Published(before.location, self._sizes, name), before.group(name)

    @cached_property
    def _sizes(self) -> Mapping[str, int]:
        return {} if self._before is None else self._before.location.objects()

    def _place(self, item: MergeItem, files: _Files, group: MeshGroup, target: Path) -> None:
        """Put the files of a mesh where they belong."""
        try:
            for name in group.metadata_files():
                files.give(name, target / name)
            for array in group.attributes[FILES]:
                if item.shard is None:
                    self._place_array(item, _Stored(files, array), group, array, target)
                else:
                    self._place_new(item, files, group, array, target)
        except FileNotFoundError as exc:
            raise MergeError(f"{exc.filename or exc} is missing: process the item {item.key!r} again.") from exc

    def _place_new(self, item: MergeItem, files: _Files, group: MeshGroup, array: str, target: Path) -> None:
        """Put the files of a new array where they belong: links to those of an equal one, where there is one."""
        content, own = _content_of(group, array), group.files_of(array)
        known = self._known.get(content)
        if known is not None:
            if known.new_in is not None:  # so that they may have several names
                for name, _ in own:
                    sync(known.new_in / f"{known.array}{name.removeprefix(array)}")
                known.new_in = None
            self._place_array(item, known, group, array, target)
            return
        self._place_array(item, _Stored(files, array), group, array, target)
        if sum(size for _, size in own) >= _SHARED_BYTES:
            self._known[content] = _Stored(_InFolder(target, copies_below=0), array, target)

    @staticmethod
    def _place_array(item: MergeItem, stored: _Stored, group: MeshGroup, array: str, target: Path) -> None:
        """Put files where those of an array belong: its own, or those of an equal one."""
        for name, size in group.files_of(array):
            file = f"{stored.array}{name.removeprefix(array)}"
            if (found := stored.files.size(file)) != size:
                raise MergeError(f"{file} has {found} bytes of {size}: process the item {item.key!r} again.")
            stored.files.give(file, target / name)

    def _describe(self, counts: Sequence[int]) -> None:
        """Write the tables, and what the dataset says of itself."""
        items, tables = self._items, self._tables
        columns: dict[str, Iterable[Any]] = {
            "items/key": [item.key for item in items],
            "items/version": [item.version for item in items],
            "items/fingerprint": [item.fingerprint or "" for item in items],
            "items/split": [item.split for item in items],
            "items/n_meshes": counts,
            **{f"index/{name}": getattr(tables, name) for name in ("item", "n_points", "n_cells", "time")},
            **{f"index/{name}": getattr(tables, name) for name in ("group", "checksum")},
        }
        described = {}
        for name, spec in table_specs().items():
            values: Array = np.array(list(columns[name]), object if spec.dtype == TEXT else spec.dtype)
            described[name] = table_array(spec, len(values))
            for key, data in table_files(spec, values):
                (self._path / key).parent.mkdir(parents=True, exist_ok=True)
                (self._path / key).write_bytes(data)
        write_hierarchy(self._path, self._attributes(), described, tables=described)
        # Consolidated metadata would have to name all that is in the meshes, or readers would not find these.
        file = self._path / METADATA
        root = json.loads(file.read_bytes())
        del root["consolidated_metadata"]
        file.write_text(json.dumps(root, ensure_ascii=False), encoding="utf-8")

    def _attributes(self) -> dict[str, Any]:
        items, tables = self._items, self._tables
        splits = {item.key: item.split for item in items}
        numbers = Counter(item.split for item in items if item.split)
        return {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "layout": self._layout.described(),
            "n_items": len(items),
            "n_meshes": len(tables.item),
            "n_points": sum(tables.n_points),
            "n_cells": sum(tables.n_cells),
            **({"splits": dict(sorted(numbers.items()))} if numbers else {}),
            "content_hash": content_signature({item.key: item.version for item in items}, splits),
            "arrays": self._arrays.described(),
        }


def _content_of(group: MeshGroup, array: str) -> tuple[str, int]:
    """What is the same where the files of two arrays are: their content, and their names, by the number of axes."""
    return group.checksum_of(array), len(group.nodes[array]["shape"])


def _of_part(key: str, part: Path) -> Iterator[tuple[str, _Files, MeshGroup]]:
    """Name, files and description of each mesh of a part."""
    try:
        n_meshes = int(json.loads((part / HEAD).read_bytes())["n_meshes"])
        for number in range(n_meshes):
            folder = part / str(number)
            files = _InFolder(folder, copies_below=LARGE_BYTES)
            yield mesh_name(key, number, n_meshes), files, MeshGroup.parse((folder / METADATA).read_bytes())
    except UNREADABLE as exc:
        reason = str(exc) or type(exc).__name__
        raise MergeError(f"Shard {part} cannot be read ({reason}); process the item {key!r} again.") from exc


class ArraySummary:
    """Which arrays meshes have, of which types, shapes and units, and how many rows in all."""

    def __init__(self) -> None:
        self._found: dict[str, dict[str, dict[str, Any]]] = {}

    def add(self, group: MeshGroup) -> None:
        """Add those of a mesh."""
        for name, path in data_paths(group.attributes):
            node = group.nodes[path]
            is_row = kind_of(name) != "field_data"
            shape = node["shape"]
            form = {"dtype": node["data_type"], "dims": node["dimension_names"], "row_shape": shape[1:]}
            if not is_row:
                form = {"dtype": node["data_type"], "dims": [], "row_shape": shape}
            form |= {"units": unit} if (unit := node.get("attributes", {}).get("units")) else {}
            own = self._found.setdefault(name, {}).setdefault(json.dumps(form), {**form, "n_rows": 0, "n_meshes": 0})
            own["n_rows"] += shape[0] if is_row else 1
            own["n_meshes"] += 1

    def described(self) -> Mapping[str, list[dict[str, Any]]]:
        """The forms of each array by name."""
        return {name: [forms[form] for form in sorted(forms)] for name, forms in sorted(self._found.items())}
