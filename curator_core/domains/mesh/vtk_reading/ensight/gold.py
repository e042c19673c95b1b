"""What files of EnSight Gold have to hold: the counts of the geometry, and values of the variables for them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from curator_core.domains.mesh.vtk_reading.ensight.streams import END, CutOffError, Stream

NODES: Final = {
    "point": 1,
    "bar2": 2,
    "bar3": 3,
    "tria3": 3,
    "tria6": 6,
    "quad4": 4,
    "quad8": 8,
    "tetra4": 4,
    "tetra10": 10,
    "pyramid5": 5,
    "pyramid13": 13,
    "penta6": 6,
    "penta15": 15,
    "hexa8": 8,
    "hexa20": 20,
}
"""Nodes of the types of elements that have a number of them."""
_LISTED: Final = ("given", "ignore")
"""What stands after ``node id`` where they are in the file."""
_GHOST: Final = "g_"


@dataclass
class Part:
    """What a part of a geometry has."""

    n_points: int = 0
    cells: Counter[str] = field(default_factory=Counter)
    """Elements by type; those of a structured part as ``block``."""


class Found(NamedTuple):
    """What a file of a variable has."""

    lacking: list[int]
    """Numbers of the parts that it has no values for."""
    undefined: float | None
    """What it has in place of values that are not defined."""


def has_ids(stream: Stream) -> bool:
    """Whether the file has the numbers of what a line names."""
    return (stream.word() or "").split()[-1:] in ([word] for word in _LISTED)


def require_end(word: str | None, *, is_step: bool) -> None:
    """Raise `ValueError` where something is left after what is known, or a step has no end."""
    if is_step and word is None:
        raise CutOffError(f"its step has no {END}")
    if word is not None and not (is_step and word.startswith(END)):
        raise ValueError(f"it has more than is to be there: {word[:80]!r}")


def geometry(stream: Stream, *, is_step: bool) -> dict[int, Part]:
    """The parts of a geometry by their numbers, from its titles on."""
    stream.title()
    stream.title()
    has_node_ids, has_element_ids = has_ids(stream), has_ids(stream)
    word = stream.word()
    if word is not None and word.startswith("extents"):
        stream.skip(3, 6)
        word = stream.word()
    parts: dict[int, Part] = {}
    while word is not None and word.startswith("part"):
        part = parts[stream.integers(1)[0]] = Part()
        stream.word()  # its title
        word = stream.word()
        if word is not None and word.startswith("block"):
            _take_block(stream, word, part)
            word = stream.word()
        else:
            word = _take_elements(stream, word, part, has_node_ids=has_node_ids, has_element_ids=has_element_ids)
    require_end(word, is_step=is_step)
    return parts


def _take_block(stream: Stream, word: str, part: Part) -> None:
    kinds = word.split()[1:]
    if unread := set(kinds) - {"iblanked", "rectilinear", "uniform", "curvilinear"}:
        raise ValueError(f"VTK does not read a block {' '.join(sorted(unread))}")
    sizes = take_sizes(stream, part)
    if "uniform" in kinds:
        n_values = 6
    elif "rectilinear" in kinds:
        n_values = sum(sizes)
    else:
        n_values = 3 * part.n_points
    stream.skip(n_values, n_values)
    if "iblanked" in kinds:
        stream.skip(part.n_points, part.n_points)


def take_sizes(stream: Stream, part: Part) -> list[int]:
    """Numbers of points of a block along each axis."""
    sizes = stream.integers(3, in_line=True)
    if len(sizes) < 3:  # noqa: PLR2004 - axes
        raise CutOffError("it lacks the size of a block")
    i, j, k = sizes
    part.n_points = i * j * k
    part.cells["block"] = max(i - 1, 1) * max(j - 1, 1) * max(k - 1, 1)
    return sizes


def _take_elements(
    stream: Stream, word: str | None, part: Part, *, has_node_ids: bool, has_element_ids: bool
) -> str | None:
    while word is not None and not word.startswith(("part", END)):
        (n_rows,) = stream.integers(1)
        if word.startswith("coordinates"):
            part.n_points = n_rows
            n_values = (3 + has_node_ids) * n_rows
            stream.skip(n_values, n_values)
        else:
            if has_element_ids:
                stream.skip(n_rows, n_rows)
            kind = word.split()[0]
            _skip_nodes(stream, kind.removeprefix(_GHOST), n_rows)
            if not kind.startswith(_GHOST):
                part.cells[kind] += n_rows
        word = stream.word()
    return word


def _skip_nodes(stream: Stream, kind: str, n_rows: int) -> None:
    """Skip the nodes of elements."""
    if kind in NODES:
        stream.skip(n_rows, n_rows * NODES[kind])
        return
    if kind not in ("nsided", "nfaced"):
        raise ValueError(f"it has {kind[:80]!r} where the type of elements is to stand")
    sizes = stream.integers(n_rows)
    if kind == "nfaced":
        sizes = stream.integers(sum(sizes))
    stream.skip(len(sizes), sum(sizes))


def variable(stream: Stream, parts: dict[int, Part], place: str, n_components: int, *, is_step: bool) -> Found:
    """What a variable has values for, from its title on."""
    stream.word()  # its title
    seen: set[int] = set()
    undefined: float | None = None
    word = stream.word()
    while word is not None and word.startswith("part"):
        number = stream.integers(1)[0]
        if number not in parts:
            raise ValueError(f"it has values for part {number}, which the geometry has not")
        seen.add(number)
        part = parts[number]
        counts = Counter({"": part.n_points}) if place == "node" else part.cells.copy()
        word = stream.word()
        while word is not None and not word.startswith(("part", END)) and +counts:
            kind, *said = word.split()
            key = "" if place == "node" and kind in ("coordinates", "block") else kind
            if key not in counts:
                raise ValueError(f"it has values for {word[:80]!r} of part {number}, which the geometry has not")
            if said == ["undef"] and n_components == 1:
                undefined = stream.number()
            elif said:
                raise ValueError(f"VTK does not read {' '.join(said)[:80]!r} of part {number} as it is meant")
            n_values = counts.pop(key) * n_components
            stream.skip(n_values, n_values)
            word = stream.word()
        if lacking := +counts:
            raise CutOffError(f"it lacks the values for {lacking.total():,} {place}s of part {number}")
    require_end(word, is_step=is_step)
    return Found(lacking_parts(parts, seen, place), undefined)


def lacking_parts(parts: dict[int, Part], seen: set[int], place: str) -> list[int]:
    """Numbers of the parts that have something at a place, and no values; `CutOffError` where none has."""
    meant = [number for number, part in parts.items() if (part.n_points if place == "node" else part.cells.total())]
    lacking = [number for number in meant if number not in seen]
    if lacking and len(lacking) == len(meant):
        raise CutOffError("it has no values")
    return lacking
