"""Publishing a dataset by year: years without a change are linked, parts that are alone in theirs too."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from curator_core.datasets.contents import content_signature
from curator_core.domains.grid.netcdf.heads import ItemHead
from curator_core.domains.grid.netcdf.steps import Rows, Steps, StepsInFile
from curator_core.domains.grid.netcdf.year_files import YearFormat
from curator_core.domains.grid.netcdf.year_parts import YearPart, file_name
from curator_core.domains.grid.netcdf.years import FORMAT_VERSION, ITEMS, PublishedYears
from curator_core.errors import MergeError
from curator_core.formats.checksums import file_checksum
from curator_core.formats.description import DESCRIPTION, OWN_FOLDER, YEARS_FORMAT, encoded_description
from curator_core.pipeline.components import MergeItem
from curator_core.storage.atomic import link_or_copy


@dataclass(slots=True)
class _Origin:
    """Where the steps of an item come from."""

    item: MergeItem
    head: ItemHead
    steps: dict[str, StepsInFile]
    """By year."""
    runs: dict[str, list[list[int]]]
    """Where they are in the files of the years that are published."""


def publish_years(written: YearFormat, items: Sequence[MergeItem], previous: str | None, path: Path) -> None:
    """Write the dataset of some items to a new folder, from parts and from the dataset before.

    The bytes depend on the items, their versions and their order alone.

    Parameters
    ----------
    written
        How files are written.
    items
        The items, in the order of the dataset; those without a part are taken from `previous`.
    previous
        The dataset before, if any.
    path
        Folder to create, on the file system of the parts.

    Raises
    ------
    MergeError
        A part, or an item of the previous dataset, is missing or damaged; or items that share a year do not go
        together, or both give a step of a variable.
    """
    before = None if previous is None else PublishedYears(previous)
    origins = [_origin(item, before) for item in items]
    for name in written.encoding:
        if origins and not any(name in origin.head.variables for origin in origins):
            raise MergeError(f"No item has {name!r}, of which encoding speaks.")
    (path / OWN_FOLDER).mkdir(parents=True)
    years = {}
    for year in sorted({year for origin in origins for year in origin.steps}):
        own = [origin for origin in origins if year in origin.steps]
        years[year] = _publish_year(written, year, own, before, path / file_name(year))
    content = json.dumps(_record(origins, years)).encode()
    (path / ITEMS).write_bytes(content)
    versions = {item.key: item.version for item in items}
    splits = {item.key: item.split for item in items}
    described = {
        "format": YEARS_FORMAT,
        "format_version": FORMAT_VERSION,
        "n_items": len(items),
        "n_steps": sum(about["n_steps"] for about in years.values()),
        "years": list(years),
        "content_hash": content_signature(versions, splits),
        "checksum_of_items": hashlib.blake2b(content, digest_size=16).hexdigest(),
    }
    (path / DESCRIPTION).write_bytes(encoded_description(described))


def _origin(item: MergeItem, before: PublishedYears | None) -> _Origin:
    if item.shard is not None:
        part = YearPart.read(item.shard, item.key)
        steps = {
            year: StepsInFile(item.key, part.head, part.path / file_name(year), ((0, n_steps),))
            for year, n_steps in part.years.items()
        }
        return _Origin(item, part.head, steps, {})
    known = None if before is None else before.by_key.get(item.key)
    if before is None or known is None or known["version"] != item.version:
        raise MergeError(f"Item {item.key!r} has no shard and is not in the previous dataset; process it again.")
    head = before.head(known)
    return _Origin(item, head, {year: before.steps(known, head, year) for year in known["years"]}, {})


def _publish_year(
    written: YearFormat, year: str, own: Sequence[_Origin], before: PublishedYears | None, target: Path
) -> dict[str, Any]:
    """Write or link the file of a year; what the record says of it."""
    name = _identity(own)
    known = None if before is None else before.years.get(year)
    if before is not None and known is not None and known["id"] == name:
        _link(before.file(year), target)
        for origin in own:
            origin.runs[year] = before.by_key[origin.item.key]["years"][year]
        return dict(known)
    steps = [origin.steps[year] for origin in own]
    if len(own) == 1 and own[0].item.shard is not None:
        _link(steps[0].path, target)
        own[0].runs[year] = [list(run) for run in steps[0].runs]
    else:
        given: list[Steps] = list(steps)
        for origin, rows in zip(own, written.write(target, given), strict=True):
            origin.runs[year] = _runs(rows)
    n_steps = len({row for origin in own for start, stop in origin.runs[year] for row in range(start, stop)})
    return {"id": name, "n_steps": n_steps, "n_bytes": target.stat().st_size, "checksum": file_checksum(target)}


def _identity(own: Sequence[_Origin]) -> str:
    text = json.dumps([FORMAT_VERSION, [[origin.item.key, origin.item.version] for origin in own]])
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _link(source: Path, target: Path) -> None:
    try:
        link_or_copy(source, target)
    except FileNotFoundError as exc:
        raise MergeError(f"{source} is missing: process the items again that it held.") from exc


def _runs(rows: Rows) -> list[list[int]]:
    cuts = np.flatnonzero(np.diff(rows) != 1) + 1
    return [[int(run[0]), int(run[-1]) + 1] for run in np.split(rows, cuts)]


def _record(origins: Sequence[_Origin], years: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    structures, attributes = _Distinct(), _Distinct()
    items = [
        {
            "key": origin.item.key,
            "version": origin.item.version,
            "fingerprint": origin.item.fingerprint,
            "split": origin.item.split,
            "structure": structures.number(origin.head.structure()),
            "attributes": attributes.number(origin.head.attributes),
            "years": origin.runs,
        }
        for origin in origins
    ]
    return {"items": items, "years": years, "structures": structures.all(), "attributes": attributes.all()}


class _Distinct:
    """Values of which equal ones are kept once."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def number(self, value: object) -> int:
        """Number of a value."""
        return self._numbers.setdefault(json.dumps(value), len(self._numbers))

    def all(self) -> list[Any]:
        """The values, in the order of their numbers."""
        return [json.loads(text) for text in self._numbers]
