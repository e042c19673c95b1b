"""A published dataset by its path, whatever its domain."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar, cast

from curator_core.datasets.versions import locate_version
from curator_core.errors import ComponentError, UnknownNameError
from curator_core.formats.description import OPENS_AS, described_folder
from curator_core.pipeline.registry import Registry
from curator_core.reading.readers import DatasetOpener, SampleReader
from curator_core.reading.split_samples import SplitSamples
from curator_core.storage.locations import location_of
from curator_core.storage.objects.mirror import readable_folder

T = TypeVar("T", bound=type[DatasetOpener])

BUILT_IN_OPENERS = MappingProxyType(
    {
        "curator-atoms": "curator_core.domains.atoms.dataset:AtomicDataset",
        "curator-grid": "curator_core.domains.grid.dataset:GridDataset",
        "curator-netcdf-years": "curator_core.domains.grid.netcdf.years_dataset:YearsDataset",
        "curator-mesh": "curator_core.domains.mesh.dataset:MeshDataset",
        "curator-mesh-ragged": "curator_core.domains.mesh.dataset:MeshDataset",
        "curator-ragged": "curator_core.domains.ragged.dataset:RaggedDataset",
        "curator-table": "curator_core.domains.table.dataset:TableDataset",
    }
)
"""Openers that curator brings along, by the format that they open."""

openers: Registry[DatasetOpener] = Registry(
    "dataset format",
    "curator.openers",
    DatasetOpener,  # type: ignore[type-abstract]  # what is registered are its subclasses
    BUILT_IN_OPENERS,
)
"""Openers by the format that they open."""


def register_opener(format_name: str) -> Callable[[T], T]:
    """Register the class that opens datasets of a format; packages declare it as an entry point of ``curator.openers``.

    Raises
    ------
    DuplicateNameError
        Another class opens that format.
    """

    def register(cls: T) -> T:
        openers.register(format_name, cls)
        return cls

    return register


def open_dataset(path: str | Path, *, version: str | None = None, split: str | None = None) -> Any:  # noqa: ANN401 - what domains read with has no common base
    """Open a published dataset; nothing of its samples is read yet.

    Parameters
    ----------
    path
        Folder of the dataset, or a repository or Delta table, such as ``s3://bucket/name.icechunk``.
    version
        The version that is wanted, by id, by the beginning of one, or by tag; the one that is there by default.
    split
        The split that is wanted, such as ``"train"``, of those that the pipeline's rule makes; all items by default.

    Returns
    -------
    object
        What its domain reads datasets with: `AtomicDataset` for structures of atoms, an ``xarray.Dataset`` for grids,
        `MeshDataset` for meshes, `RaggedDataset` for arrays of your own, `TableDataset` for tables. Of a split it is a
        reader of samples, too, which are numbered from 0; or of the rows of a table, or the steps of grids that its
        items give, without those that items of other splits give as well.

    Raises
    ------
    ComponentError
        There is no dataset, it is damaged, or was written by a newer version.
    DatasetExpiredError
        The version is not kept any more.
    UnknownNameError
        No version, or no split, is meant by the name; or nothing that is installed opens datasets of its format.
    ConfigError
        The dataset has no splits.
    """
    folder = readable_folder(path if version is None else locate_version(path, version)).absolute()
    attributes = described_folder(location_of(str(folder))) or _zarr_attributes(folder)
    named = attributes.get("format")
    if not isinstance(named, str):
        raise ComponentError(
            f"{folder} is no dataset of curator: its group has no attribute 'format'.", file=str(folder)
        )
    try:
        opener = openers.get(named if openers.has(named) else attributes.get(OPENS_AS, named))
    except UnknownNameError as exc:
        raise UnknownNameError(f"{folder}: {exc} Install the package that writes it.") from None
    if split is None:
        return opener.open(folder)
    if issubclass(opener, SampleReader):
        return SplitSamples(cast("SampleReader[Any]", opener.open(folder)), split, where=str(folder))
    return opener.open_split(folder, split)


def _zarr_attributes(folder: Path) -> Mapping[str, Any]:
    from curator_core.formats.dataset_files import DatasetFiles  # noqa: PLC0415 - needs zarr, as tables do not

    return DatasetFiles(folder).attributes
