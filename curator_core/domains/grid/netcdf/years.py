"""A published dataset by year: what it says of itself, and what is wrong with its files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Final

from curator_core.datasets.contents import Damage, content_signature, damaged_files
from curator_core.domains.grid.netcdf.heads import ItemHead
from curator_core.domains.grid.netcdf.steps import StepsInFile
from curator_core.domains.grid.netcdf.year_parts import file_name
from curator_core.errors import ComponentError
from curator_core.formats.checksums import file_checksum
from curator_core.formats.description import DESCRIPTION, OWN_FOLDER, YEARS_FORMAT, described_as
from curator_core.storage.base import OutputLocation
from curator_core.storage.locations import location_of

FORMAT_VERSION: Final = 1
ITEMS: Final = f"{OWN_FOLDER}/items.json"
"""Items and years."""


class PublishedYears:
    """A published dataset by year.

    Parameters
    ----------
    path
        Its folder.

    Raises
    ------
    ComponentError
        There is none, it is another's, damaged, or of another version.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        location = location_of(str(path))
        self.attributes = described_as(location, YEARS_FORMAT, "dataset of NetCDF files by year", FORMAT_VERSION)

    @cached_property
    def _record(self) -> dict[str, Any]:
        try:
            content = (self.path / ITEMS).read_bytes()
        except OSError as exc:
            text = f"The dataset {self.path} is damaged: {ITEMS} is missing."
            raise ComponentError(text, file=str(self.path)) from exc
        if hashlib.blake2b(content, digest_size=16).hexdigest() != self.attributes["checksum_of_items"]:
            raise ComponentError(
                f"The dataset {self.path} is damaged: {ITEMS} is not what was written.", file=str(self.path)
            )
        return dict(json.loads(content))

    @property
    def items(self) -> Sequence[Mapping[str, Any]]:
        """Items in their order: key, version, fingerprint, split, and runs of steps by year."""
        found: list[dict[str, Any]] = self._record["items"]
        return found

    @property
    def years(self) -> Mapping[str, Mapping[str, Any]]:
        """Files by year: id, number of steps and of bytes, checksum."""
        found: dict[str, dict[str, Any]] = self._record["years"]
        return found

    @cached_property
    def by_key(self) -> dict[str, Mapping[str, Any]]:
        """Items by key."""
        return {item["key"]: item for item in self.items}

    def versions(self) -> dict[str, str]:
        """Item version by key, in order."""
        return {key: str(item["version"]) for key, item in self.by_key.items()}

    def splits(self) -> dict[str, str]:
        """Split by key; empty of items in none."""
        return {key: str(item["split"]) for key, item in self.by_key.items()}

    def file(self, year: str) -> Path:
        """The file of a year."""
        return self.path / file_name(year)

    def head(self, item: Mapping[str, Any]) -> ItemHead:
        """An item without its values."""
        structure = self._record["structures"][item["structure"]]
        return ItemHead.of(structure, self._record["attributes"][item["attributes"]])

    def steps(self, item: Mapping[str, Any], head: ItemHead, year: str) -> StepsInFile:
        """What an item gave a year."""
        runs = tuple((start, stop) for start, stop in item["years"][year])
        return StepsInFile(item["key"], head, self.file(year), runs)


class YearDatasetFiles:
    """Examines the files of a dataset by year.

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
        self._published = PublishedYears(location.readable_path)
        items = self._published.items
        self.held: Mapping[str, str] = {item["key"]: item["version"] for item in items}
        """Item version by key."""
        self.splits: Mapping[str, str] = {item["key"]: item["split"] for item in items}
        """Split by key."""
        self.fingerprints: Mapping[str, str | None] = {item["key"]: item["fingerprint"] for item in items}
        """Fingerprint by key."""

    def damages(self) -> Iterator[Damage]:
        """What is wrong with files, and which items that concerns."""
        published, objects = self._published, self._location.objects()
        expected = {ITEMS, DESCRIPTION}
        for year, about in published.years.items():
            name = file_name(year)
            expected.add(name)
            keys = tuple(item["key"] for item in published.items if year in item["years"])
            written = about["n_bytes"], about["checksum"]
            yield from damaged_files(
                name, objects.get(name), written, keys, partial(file_checksum, published.file(year))
            )
        yield from (Damage("does not belong to the dataset", name) for name in objects if name not in expected)
        if content_signature(self.held, self.splits) != published.attributes["content_hash"]:
            yield Damage("says that its content is another", DESCRIPTION)
