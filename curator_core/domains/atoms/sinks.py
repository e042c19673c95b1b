"""Sink for atomic structures: one ragged Zarr dataset of the parts of all items."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, ClassVar

from ase import Atoms

from curator_core.datasets.parts import PART_SUFFIX, write_part
from curator_core.domains.atoms.dataset_reader import DatasetItem, DatasetReader
from curator_core.domains.atoms.merging import merge_dataset
from curator_core.domains.atoms.ragged import CHUNK_ROWS, SHARD_ROWS, AtomsFormat, atoms_layout, rows_of
from curator_core.domains.atoms.structures import StructureError, tabulate
from curator_core.errors import ComponentError, ConfigError
from curator_core.formats.arrays import Array
from curator_core.pipeline.annotations import SECRET
from curator_core.pipeline.components import MergeItem, Variable
from curator_core.sinks.datasets import PlacedSink
from curator_core.storage.locations import location_of
from curator_core.storage.objects.mirror import readable_folder
from curator_core.storage.outputs import check_output_path


class AtomicDataZarrSink(PlacedSink[Atoms]):
    """Structures as one Zarr v3 group of per-atom arrays and per-structure arrays.

    Everything a structure carries is kept exactly, with two exceptions: a scalar calculator result
    that is an integer comes back as the equal ``float``, and tuples in ``Atoms.info`` as lists.
    `AtomicDataset` gives the structures back; `curator_core.domains.atoms.layout` describes the arrays. What did
    not change is linked when the dataset is published anew, see `curator_core.datasets`.

    Parameters
    ----------
    output_path
        Folder of the dataset, ending in ``.zarr``; or a repository, ending in ``.icechunk``, here or in a bucket.
    chunk_rows
        Atoms that a reader loads at once, at least 1; an eighth as many structures.
    shard_rows
        Atoms per file, a multiple of `chunk_rows`; an eighth as many structures.
    items_per_segment
        Items that share files, on average: 1 where items are megabytes, more where they are small. A change of one
        writes the files of those that share its files.
    storage_options
        Credentials and settings for what is published in the output's folder of a bucket, by obstore's names, such as
        ``aws_secret_access_key`` and ``endpoint``; in place of those of the environment. They are stored nowhere.
    """

    name: ClassVar[str] = "atomic_data_zarr"
    description: ClassVar[str] = "Atomic structures as one ragged Zarr dataset"
    checks_arguments: ClassVar[bool] = True
    shard_suffix: ClassVar[str] = PART_SUFFIX

    def __init__(
        self,
        output_path: str,
        chunk_rows: int = CHUNK_ROWS,
        shard_rows: int = SHARD_ROWS,
        items_per_segment: int = 1,
        *,
        storage_options: Annotated[Mapping[str, str | bool | int] | None, SECRET] = None,
    ) -> None:
        super().__init__(output_path, storage_options)
        try:
            self._ragged = AtomsFormat(atoms_layout(chunk_rows, shard_rows, items_per_segment))
        except ConfigError as exc:
            raise ConfigError(f"{self.name}: {exc}") from None

    def check(self) -> None:
        """Raise `ConfigError` when the output cannot be written, or when something else stands there."""
        check_output_path(self._output, ".zarr", self.name)
        try:
            self.retained_items(self._output)
        except ComponentError as exc:
            raise ConfigError(f"{self.name}: {exc} Move it away, or choose another output.") from exc

    def write_shard(self, items: Iterator[Atoms], path: str) -> None:
        """Write the structures of an item.

        Raises
        ------
        ComponentError
            A structure holds something that cannot be kept, or results of another geometry.
        """
        try:
            table = tabulate(items)
        except StructureError as exc:
            raise ComponentError(f"{self.name}: {exc}", component=self.name) from exc
        write_part(path, self._ragged, *rows_of(table))

    def retained_items(self, output_path: str) -> dict[str, str]:
        """Item version by key of a published dataset; empty when there is none.

        Raises
        ------
        ComponentError
            Something else stands there, or a dataset that holds an item twice.
        """
        return {item.key: item.version for item in self._items(output_path)}

    def retained_splits(self, output_path: str) -> dict[str, str]:
        """Split by key of the items of a published dataset; empty when there are none.

        Raises
        ------
        ComponentError
            As for `retained_items`.
        """
        return {item.key: item.split for item in self._items(output_path) if item.split}

    def _items(self, output_path: str) -> list[DatasetItem]:
        if not location_of(output_path).exists():
            return []
        path = readable_folder(output_path)
        if path.is_dir() and not any(path.iterdir()):
            return []
        items = DatasetReader(path).items()
        if len({item.key for item in items}) < len(items):
            twice = [key for key, n in Counter(item.key for item in items).items() if n > 1]
            raise ComponentError(
                f"The dataset is damaged: {path} holds {len(twice)} items more than once, such as {twice[0]!r}.",
                file=str(path),
            )
        return items

    def describe(self, output_path: str) -> dict[str, int | float | str]:
        """Number of structures and atoms of a published dataset."""
        reader = DatasetReader(readable_folder(output_path))
        return {"n_systems": reader.n_systems, "n_atoms": reader.n_atoms}

    def n_rows(self, output_path: str) -> int:
        return DatasetReader(readable_folder(output_path)).n_systems

    def schema(self, output_path: str) -> list[Variable]:
        return DatasetReader(readable_folder(output_path)).variables()

    def values(self, output_path: str, names: Collection[str]) -> Iterator[tuple[str, str, Array]]:
        return DatasetReader(readable_folder(output_path)).values(names)

    def merge_items(self, items: Sequence[MergeItem], previous: str | None, output_path: str) -> None:
        """Write a new dataset from parts and from the previous dataset.

        Raises
        ------
        MergeError
            A part, or an item of the previous dataset, is missing or damaged.
        """
        merge_dataset(self._ragged, items, previous, Path(output_path))
