"""Files that list other files: by time, as ParaView's collections and series, or by block."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar
from xml.etree import ElementTree as ET

T = TypeVar("T")

SERIES: Final = (".pvd", ".series")
"""Of files that list others by time."""
BLOCKS: Final = (".vtm", ".vtmb", ".vtpd", ".vtpc")
"""Of files that list others by block; VTK's own readers of these leave out pieces, and do not say so."""
_NESTED: Final = frozenset(("Block", "Piece", "Partitions", "DataSet"))


@dataclass(frozen=True, slots=True)
class Step:
    """What a file lists for one time."""

    time: float
    """The time."""
    members: dict[str, Path]
    """Files by the name that their part has."""


def steps_of(path: Path) -> list[Step]:
    """The steps that a file lists, by time.

    Raises
    ------
    ValueError
        It is no such file, or names none.
    """
    members = list(_series(path) if path.suffix.lower() == ".series" else _collection(path))
    if not members:
        raise ValueError("it lists no files")
    times: dict[float, dict[str, Path]] = {}
    for time, name, member in members:
        names = times.setdefault(time, {})
        if name in names:
            raise ValueError(f"it lists two files with the name {name!r} for the time {time:g}")
        names[name] = path.parent / member
    return [Step(time, times[time]) for time in sorted(times)]


def _series(path: Path) -> Iterable[tuple[float, str, str]]:
    try:
        return [(float(file["time"]), "0", file["name"]) for file in json.loads(path.read_bytes())["files"]]
    except (LookupError, TypeError, ValueError) as exc:
        raise ValueError(f"it is no list of files with times: {exc}") from exc


def _collection(path: Path) -> Iterable[tuple[float, str, str]]:
    try:
        found = ET.parse(path).getroot().iter("DataSet")  # noqa: S314 - expat of today refuses what grows
        return [(float(e.get("timestep", "0")), _name(e), e.attrib["file"]) for e in found]
    except (ET.ParseError, LookupError, ValueError) as exc:
        raise ValueError(f"it is no collection of files with times: {exc}") from exc


def _name(element: ET.Element) -> str:
    stated = element.get("name") or element.get("group") or ""
    number = element.get("part") or "0"
    return f"{stated}/{number}" if stated and number != "0" else stated or number


def blocks_of(path: Path) -> dict[str, Path]:
    """The files that a file lists by block, by the path of names; a block without a name has that of its position.

    Raises
    ------
    ValueError
        It is no such file, or names none.
    """
    try:
        root = ET.parse(path).getroot()  # noqa: S314 - as above
    except ET.ParseError as exc:
        raise ValueError(f"it is no list of blocks: {exc}") from exc
    found: dict[str, Path] = {}
    for top in root:
        for name, member in _nested(top, ()):
            add(found, name, path.parent / member)
    if not found:
        raise ValueError("it lists no files")
    return found


def _nested(parent: ET.Element, above: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for position, element in enumerate(e for e in parent if e.tag in _NESTED):
        names = (*above, *names_in(element.get("name"), element.get("index") or str(position)))
        if element.get("file"):
            yield "/".join(names), element.attrib["file"]
        yield from _nested(element, names)


def names_in(name: str | None, position: str) -> list[str]:
    """The parts of the name of a block; its position where it has none."""
    return [part for part in (name or "").split("/") if part not in ("", ".", "..")] or [position]


def add(found: dict[str, T], name: str, value: T) -> None:
    """Add something under a name, or ``name_2`` where there is another of that name."""
    free, number = name, 1
    while free in found:
        number += 1
        free = f"{name}_{number}"
    found[free] = value
