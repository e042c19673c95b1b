"""The files of a dataset of groups compared with what it says of itself."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

from curator_core.datasets.contents import OTHER_CHECKSUM, Damage, content_signature
from curator_core.domains.mesh.zarr_groups.names import MESHES
from curator_core.domains.mesh.zarr_groups.published import MeshGroup, PublishedMeshes, table_specs
from curator_core.domains.mesh.zarr_groups.publishing import GROUP_METADATA, group_checksum
from curator_core.domains.mesh.zarr_groups.writing import FILES
from curator_core.errors import ComponentError
from curator_core.formats.arrays import nonfinite_numbers
from curator_core.formats.described import METADATA, changed_descriptions
from curator_core.formats.record_file import RECORD
from curator_core.formats.zarr_metadata import UNREADABLE, table_array
from curator_core.storage.base import OutputLocation


class MeshFiles:
    """Examines the files of a dataset of groups.

    Parameters
    ----------
    location
        The dataset.

    Raises
    ------
    ComponentError
        It is no such dataset, or what it says of itself cannot be read.
    """

    def __init__(self, location: OutputLocation) -> None:
        self._location = location
        self._published = PublishedMeshes(location)
        if damaged := [damage.file for damage in self._tables()]:
            raise ComponentError(
                f"{location.path} cannot be verified: not what was written: {', '.join(damaged)}.", file=location.path
            )

    @cached_property
    def held(self) -> Mapping[str, str]:
        """Item version by key."""
        return self._published.by_key("version")

    @cached_property
    def splits(self) -> Mapping[str, str]:
        """Split by key."""
        return self._published.by_key("split")

    @cached_property
    def fingerprints(self) -> Mapping[str, str | None]:
        """Fingerprint by key."""
        return self._published.by_key("fingerprint")

    def damages(self) -> Iterator[Damage]:
        """What is wrong with files, and which items that concerns."""
        published, objects = self._published, self._location.objects()
        expected = {METADATA, RECORD, f"{MESHES}/{METADATA}", *self._table_files()}
        if self._read(f"{MESHES}/{METADATA}") != GROUP_METADATA:
            yield Damage("is not what was written", f"{MESHES}/{METADATA}")
        index = 0
        for number, key in enumerate(published.keys):
            for name in published.names_of(number):
                folder, checksum = f"{MESHES}/{name}", published.tables["index/checksum"][index]
                index += 1
                expected.add(f"{folder}/{METADATA}")
                content = self._read(f"{folder}/{METADATA}")
                if content is None:
                    yield Damage("is missing", f"{folder}/{METADATA}", (key,))
                elif group_checksum(content) != checksum:
                    yield Damage(OTHER_CHECKSUM, f"{folder}/{METADATA}", (key,))
                else:
                    group = MeshGroup.parse(content)
                    yield from self._of_group(group, folder, key, objects)
                    files = (file for array in group.attributes[FILES] for file, _ in group.files_of(array))
                    expected.update(f"{folder}/{file}" for file in (*group.metadata_files(), *files))
        unexpected = (name for name in objects if name not in expected)
        yield from (Damage("does not belong to the dataset", name) for name in unexpected)
        if content_signature(self.held, self.splits) != published.attributes["content_hash"]:
            yield Damage("says that its content is another", METADATA)

    def _of_group(self, group: MeshGroup, folder: str, key: str, objects: Mapping[str, int]) -> Iterator[Damage]:
        for name, node in group.nodes.items():
            file = f"{folder}/{name}/{METADATA}"
            content = self._read(file)
            if content is None:
                yield Damage("is missing", file, (key,))
            elif _parsed(content) != node:
                yield Damage(f"says something else than {METADATA} of the mesh", file, (key,))
        for array in group.attributes[FILES]:
            digest, is_whole = hashlib.blake2b(digest_size=16), True
            for name, size in group.files_of(array):
                file = f"{folder}/{name}"
                if file not in objects:
                    yield Damage("is missing", file, (key,))
                elif objects[file] != size:
                    yield Damage(f"has {objects[file]:,} bytes of {size:,}", file, (key,))
                else:
                    digest.update(self._location.read(file))
                    continue
                is_whole = False
            if is_whole and digest.hexdigest() != group.checksum_of(array):
                names = [name for name, _ in group.files_of(array)] or [array]
                more = f" to {names[-1]}" if len(names) > 1 else ""
                yield Damage(OTHER_CHECKSUM, f"{folder}/{names[0]}{more}", (key,))

    def _read(self, name: str) -> bytes | None:
        try:
            return self._location.read(name)
        except FileNotFoundError:
            return None

    def _tables(self) -> list[Damage]:
        """What the dataset says of itself, and is not what was written."""
        try:
            root: dict[str, Any] = json.loads(self._location.read(METADATA))
            nodes = {folder: _parsed(self._location.read(f"{folder}/{METADATA}")) for folder in ("index", "items")}
            nodes |= {name: _parsed(self._location.read(f"{name}/{METADATA}")) for name in table_specs()}
            root["consolidated_metadata"] = {"metadata": nodes}
            found = changed_descriptions(root, self._table_files(), self._location.read)
        except UNREADABLE as exc:
            return [Damage(str(exc), f"{METADATA} ({exc})")]
        return [Damage(OTHER_CHECKSUM, (files or [name or METADATA])[0]) for name, files in found.items()]

    def _table_files(self) -> Iterator[str]:
        attributes = self._published.attributes
        n_rows = {"item": int(attributes["n_items"]), "mesh": int(attributes["n_meshes"])}
        for name, spec in table_specs().items():
            rows = n_rows[spec.dims[0]]
            size = table_array(spec, rows)["chunk_grid"]["configuration"]["chunk_shape"][0]
            yield f"{name}/{METADATA}"
            yield from (f"{name}/c/{number}" for number in range(-(-rows // size)))
        yield from (f"{folder}/{METADATA}" for folder in ("index", "items"))


def _parsed(content: bytes) -> Any:  # noqa: ANN401 - JSON
    try:
        return json.loads(content)
    except ValueError:
        return None


def nonfinite_arrays(location: OutputLocation) -> Iterator[tuple[str, str, tuple[int, int, int, int]]]:
    """Array, key, and how many of its numbers are NaN, +inf, -inf, and all; of those that have some.

    Parameters
    ----------
    location
        A dataset of groups of meshes.

    Raises
    ------
    ComponentError
        It is damaged.
    """
    from curator_core.domains.mesh.dataset import MeshDataset  # noqa: PLC0415 - reads what this verifies

    dataset = MeshDataset(location.readable_path)
    for index, key in enumerate(dataset.keys):
        stored = dataset.stored(index)
        for name in stored.names:
            values: Any = stored.rows(name)
            if values.dtype.kind in "fc":
                counts = nonfinite_numbers(values)
                if any(counts):
                    yield name, key, (*counts, values.size)
