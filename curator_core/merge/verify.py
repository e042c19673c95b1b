"""`verify_dataset`: whether a published dataset is what was published, and what is damaged where it is not."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Protocol

from curator_core.datasets.contents import Damage
from curator_core.datasets.manifest import Manifest, published_manifest
from curator_core.datasets.versions import NEWEST, locate_version
from curator_core.errors import ComponentError, ConfigError, DatasetReplacedError
from curator_core.formats.description import YEARS_FORMAT, described_folder
from curator_core.formats.record_file import record_fault, written_record
from curator_core.merge.census import NonFiniteCount, nonfinite_counts
from curator_core.storage.base import OutputLocation
from curator_core.storage.locations import location_of

_MESHES = "curator-mesh"


class Files(Protocol):
    """The files of a dataset, of whichever layout."""

    @property
    def held(self) -> Mapping[str, str]:
        """Item version by key, in order."""
        ...

    @property
    def splits(self) -> Mapping[str, str]:
        """Split by key."""
        ...

    @property
    def fingerprints(self) -> Mapping[str, str | None]:
        """Fingerprint by key."""
        ...

    def damages(self) -> Iterator[Damage]:
        """What is wrong with them."""
        ...


def verify_dataset(path: str | os.PathLike[str], *, version: str = NEWEST) -> list[Damage]:
    """What is damaged of a dataset; empty where every file is what was published.

    Every file is read, and compared with the checksum that was taken when it was written; the tables of items are
    compared with the arrays and with the manifest. No source is read.

    Parameters
    ----------
    path
        The sink's output, in the layout of `curator_core.datasets`.
    version
        The version that is verified, by id, by the beginning of one, or by tag.

    Raises
    ------
    ConfigError
        There is no dataset, or no version is meant by the name.
    ComponentError
        It has no checksums, or what it says of itself cannot be read.
    """
    location = _location(path, version)
    try:
        manifest = published_manifest(location)
    except (ConfigError, DatasetReplacedError) as exc:
        undescribed, manifest = [Damage(str(exc))], None
    else:
        undescribed = []
    files = _examined(location)
    listed = [] if manifest is None else _against(manifest, files)
    return [*undescribed, *listed, *files.damages(), *_of_record(location)]


def _of_record(location: OutputLocation) -> Iterator[Damage]:
    """What is wrong with the Croissant record; a dataset that was published without one has none."""
    if (found := written_record(location)) is not None:
        name, data = found
        if fault := record_fault(data):
            yield Damage(fault, name)


def _examined(location: OutputLocation) -> Files:
    """The files of a dataset, of whichever layout."""
    if (found := described_folder(location)) is not None:
        if found.get("format") == YEARS_FORMAT:
            from curator_core.domains.grid.netcdf.years import YearDatasetFiles  # noqa: PLC0415 - needs netCDF4

            return YearDatasetFiles(location)
        from curator_core.domains.table.verifying import TableFiles  # noqa: PLC0415 - needs pyarrow

        return TableFiles(location)
    from curator_core.datasets.aligned.verifying import AlignedFiles  # noqa: PLC0415 - need zarr, as tables do not
    from curator_core.datasets.published import described  # noqa: PLC0415 - as above
    from curator_core.datasets.verifying import RaggedFiles  # noqa: PLC0415 - as above

    try:
        attributes = described(location)
    except ComponentError as exc:
        raise ComponentError(f"{location.path} cannot be verified: {exc}", file=location.path) from exc
    if attributes.get("format") == _MESHES:
        from curator_core.domains.mesh.zarr_groups.verifying import MeshFiles  # noqa: PLC0415 - needs VTK

        return MeshFiles(location)
    return AlignedFiles(location, str(attributes["format"])) if "curator" in attributes else RaggedFiles(location)


def count_nonfinite(path: str | os.PathLike[str], *, version: str = NEWEST) -> Iterator[NonFiniteCount]:
    """How many numbers of each item are NaN or infinite, by variable; of those items that have some.

    Parameters
    ----------
    path
        The sink's output, in the layout of `curator_core.datasets`.
    version
        The version that is looked at, by id, by the beginning of one, or by tag.

    Raises
    ------
    ConfigError
        There is no dataset, or no version is meant by the name.
    ComponentError
        It is of another layout, or damaged.
    """
    location = _location(path, version)
    found: Iterator[tuple[str, str, tuple[int, int, int, int]]]
    if (described := described_folder(location)) is not None:
        if described.get("format") == YEARS_FORMAT:
            raise ComponentError(f"{location.path} is of NetCDF files, whose numbers are not counted.")
        from curator_core.domains.table.verifying import nonfinite_columns  # noqa: PLC0415 - needs pyarrow

        found = nonfinite_columns(location)
    elif _is_of_meshes(location):
        from curator_core.domains.mesh.zarr_groups.verifying import nonfinite_arrays  # noqa: PLC0415 - needs VTK

        found = nonfinite_arrays(location)
    else:
        yield from nonfinite_counts(location)
        return
    for name, key, counts in found:
        yield NonFiniteCount(name, key, *counts)


def _is_of_meshes(location: OutputLocation) -> bool:
    from curator_core.datasets.published import described  # noqa: PLC0415 - needs zarr, as tables do not

    return described(location).get("format") == _MESHES


def _location(path: str | os.PathLike[str], version: str) -> OutputLocation:
    location = location_of(os.fspath(path) if version == NEWEST else locate_version(path, version), "the dataset")
    if not location.exists():
        raise ConfigError(f"There is no dataset {location.path}: nothing was published there, or it was removed.")
    return location.pinned()


def _against(manifest: Manifest, files: Files) -> Iterator[Damage]:
    """The items of the manifest and those of the dataset's own table."""
    listed, held, splits, fingerprints = manifest.versions, files.held, files.splits, files.fingerprints
    for key in listed.keys() | held.keys():
        if key not in held:
            yield Damage("is in the manifest and not in the dataset", items=(key,))
        elif key not in listed:
            yield Damage("is in the dataset and not in the manifest", items=(key,))
        elif listed[key] != held[key]:
            yield Damage("is in another version in the dataset than in the manifest", items=(key,))
        elif (manifest.fingerprints[key] or None) != (fingerprints[key] or None):
            yield Damage("has another fingerprint in the dataset than in the manifest", items=(key,))
        elif manifest.splits.get(key, "") != splits.get(key, ""):
            yield Damage("is in another split in the dataset than in the manifest", items=(key,))
    if listed == held and list(listed) != list(held):
        yield Damage("The items stand in another order in the dataset than in the manifest")
