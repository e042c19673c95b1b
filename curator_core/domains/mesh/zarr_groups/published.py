"""A published dataset of groups of meshes: its tables, and what the group of each mesh says of itself."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from curator_core.datasets.published import described, reading
from curator_core.domains.mesh.zarr_groups.names import MESHES, mesh_name
from curator_core.domains.mesh.zarr_groups.writing import FILES, file_of
from curator_core.errors import ComponentError, ObjectStoreError
from curator_core.formats.arrays import TEXT, Array, ArraySpec
from curator_core.formats.described import METADATA
from curator_core.formats.description import require_version
from curator_core.formats.zarr_metadata import UNREADABLE, read_table
from curator_core.storage.base import OutputLocation

FORMAT: Final = "curator-mesh"
FORMAT_VERSION: Final = 1
_TEXTS: Final = ("key", "version", "fingerprint", "split")


def table_specs() -> dict[str, ArraySpec]:
    """The arrays that hold the tables of items and of meshes, by name."""
    found = [ArraySpec(f"items/{name}", TEXT, ("item",)) for name in _TEXTS]
    found.append(ArraySpec("items/n_meshes", "int64", ("item",)))
    found += [ArraySpec(f"index/{name}", "int64", ("mesh",)) for name in ("item", "n_points", "n_cells")]
    found.append(ArraySpec("index/time", "float64", ("mesh",)))
    found += [ArraySpec(f"index/{name}", TEXT, ("mesh",)) for name in ("group", "checksum")]
    return {spec.name: spec for spec in found}


@dataclass(frozen=True)
class MeshGroup:
    """What the group of a mesh says of itself."""

    content: bytes
    """Its ``zarr.json``."""
    attributes: Mapping[str, Any]
    """Its attributes."""
    nodes: Mapping[str, Mapping[str, Any]]
    """Metadata of what is in it, by path."""

    @classmethod
    def parse(cls, content: bytes) -> MeshGroup:
        """The group that a ``zarr.json`` describes.

        Raises
        ------
        ValueError, TypeError, LookupError, AttributeError
            It is damaged.
        """
        root = json.loads(content)
        found = cls(content, root["attributes"], root["consolidated_metadata"]["metadata"])
        if found.attributes["format"] != "curator-mesh-group" or not isinstance(found.attributes[FILES], dict):
            raise ValueError("it is no group of a mesh")
        return found

    def files_of(self, array: str) -> list[tuple[str, int]]:
        """Name and size of each file of an array."""
        node = self.nodes[array]
        spec = ArraySpec(array, TEXT, tuple(node["dimension_names"]), tuple(node["shape"][1:]))
        return [(file_of(spec, number), size) for number, size in enumerate(self.attributes[FILES][array][1])]

    def checksum_of(self, array: str) -> str:
        """Checksum of the files of an array."""
        return str(self.attributes[FILES][array][0])

    def metadata_files(self) -> Iterator[str]:
        """Names of the files with metadata, that of the group first."""
        yield METADATA
        yield from (f"{name}/{METADATA}" for name in self.nodes)


class PublishedMeshes:
    """A published dataset of groups.

    Parameters
    ----------
    location
        Where it is.

    Raises
    ------
    ComponentError
        There is none, it is another's, damaged, or of another version.
    """

    def __init__(self, location: OutputLocation) -> None:
        self.location = location
        self.attributes: dict[str, Any] = described(location)
        if self.attributes.get("format") != FORMAT:
            raise ComponentError(f"{location.path} is no dataset of groups of meshes.", file=location.path)
        require_version(location.path, self.attributes.get("format_version"), FORMAT_VERSION)

    @cached_property
    def tables(self) -> dict[str, Array]:
        """Values of the tables, by name.

        Raises
        ------
        ComponentError
            They are damaged.
        """
        with reading(self.location, "the list of its items"):
            n_rows = {dim: int(self.attributes[f"n_{dim}"]) for dim in ("items", "meshes")}
            sizes = {"item": n_rows["items"], "mesh": n_rows["meshes"]}
            found = {
                name: read_table(spec, sizes[spec.dims[0]], self.location.read) for name, spec in table_specs().items()
            }
            owner = np.repeat(np.arange(sizes["item"]), np.asarray(found["items/n_meshes"], np.int64))
            if not np.array_equal(owner, found["index/item"]):
                raise ValueError("its meshes are not those of its items")
        return found

    @cached_property
    def keys(self) -> list[str]:
        """Key of each item, in order."""
        found: list[str] = self.tables["items/key"].tolist()
        if len(set(found)) < len(found):
            twice = next(key for number, key in enumerate(found) if key in found[:number])
            path = self.location.path
            raise ComponentError(f"The dataset {path} is damaged: it holds {twice!r} twice.", file=path)
        return found

    def by_key(self, column: str) -> dict[str, Any]:
        """A column of the table of items by key."""
        return dict(zip(self.keys, self.tables[f"items/{column}"].tolist(), strict=True))

    def versions(self) -> dict[str, str]:
        """Item version by key, in order."""
        return self.by_key("version")

    def splits(self) -> dict[str, str]:
        """Split by key; empty of items in none."""
        return self.by_key("split")

    @cached_property
    def first_mesh(self) -> npt.NDArray[np.int64]:
        """First mesh of each item, and their number."""
        counts = np.asarray(self.tables["items/n_meshes"], np.int64)
        return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)

    def names_of(self, number: int) -> list[str]:
        """Names of the groups of the meshes of an item."""
        n_meshes = int(self.first_mesh[number + 1] - self.first_mesh[number])
        return [mesh_name(self.keys[number], mesh, n_meshes) for mesh in range(n_meshes)]

    def group(self, name: str) -> MeshGroup:
        """What the group of a mesh says of itself.

        Raises
        ------
        ComponentError
            It is missing or damaged.
        """
        file = f"{MESHES}/{name}/{METADATA}"
        try:
            return MeshGroup.parse(self.location.read(file))
        except ObjectStoreError:  # no damage
            raise
        except UNREADABLE as exc:
            reason = "is missing" if isinstance(exc, FileNotFoundError) else f"cannot be read: {exc}"
            path = f"{self.location.path}/{file}"
            raise ComponentError(f"The dataset is damaged: {path} {reason}.", file=path) from exc
