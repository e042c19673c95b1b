"""What files of EnSight 6 have to hold: one list of points for all parts, and six numbers a line in texts."""

from __future__ import annotations

from collections.abc import Sequence

from curator_core.domains.mesh.vtk_reading.ensight.gold import NODES, Found, Part, has_ids, lacking_parts, require_end
from curator_core.domains.mesh.vtk_reading.ensight.streams import END, CutOffError, Stream

_PER_LINE = 6
POINTS = 0
"""Number of a part that stands for the points of all."""


def geometry(stream: Stream, *, is_step: bool) -> dict[int, Part]:
    """The parts of a geometry by their numbers, and its points, from its titles on."""
    stream.title()
    stream.title()
    has_node_ids, has_element_ids = has_ids(stream), has_ids(stream)
    word = stream.word()
    if word is None or not word.startswith("coordinates"):
        raise CutOffError("it has no coordinates")
    (n_points,) = stream.integers(1)
    if has_node_ids and not stream.is_text:
        _require_in_order(stream.integers(n_points))
    stream.skip(n_points, 3 * n_points)
    parts = {POINTS: Part(n_points)}
    word = stream.word()
    while word is not None and word.startswith("part"):
        part = parts[_number(word)] = Part()
        stream.word()  # its title
        word = stream.word()
        while word is not None and not word.startswith(("part", END)):
            if word.startswith("block"):
                raise ValueError("VTK reads blocks of EnSight 6 otherwise than meant: write EnSight Gold")
            if word not in NODES:
                raise ValueError(f"it has {word[:80]!r} where the type of elements is to stand")
            (n_rows,) = stream.integers(1)
            stream.skip(n_rows, n_rows * (NODES[word] + has_element_ids))
            part.cells[word] += n_rows
            word = stream.word()
    require_end(word, is_step=is_step)
    return parts


def _require_in_order(ids: Sequence[int]) -> None:
    if list(ids) != list(range(1, len(ids) + 1)):
        raise ValueError("VTK does not read cells by the numbers of nodes that are given: write EnSight Gold")


def variable(stream: Stream, parts: dict[int, Part], place: str, n_components: int, *, is_step: bool) -> Found:
    """What a variable has values for, from its title on."""
    stream.word()  # its title
    if place == "node":
        _skip_lines(stream, n_components * parts[POINTS].n_points)
        require_end(stream.word(), is_step=is_step)
        return Found([], None)
    seen: set[int] = set()
    word = stream.word()
    while word is not None and word.startswith("part"):
        number = _number(word)
        if number not in parts:
            raise ValueError(f"it has values for part {number}, which the geometry has not")
        seen.add(number)
        counts = parts[number].cells.copy()
        word = stream.word()
        while word is not None and not word.startswith(("part", END)):
            if word not in counts:
                raise ValueError(f"it has values for {word[:80]!r} of part {number}, which the geometry has not")
            _skip_lines(stream, n_components * counts.pop(word))
            word = stream.word()
        if lacking := +counts:
            raise CutOffError(f"it lacks the values for {lacking.total():,} elements of part {number}")
    require_end(word, is_step=is_step)
    return Found(lacking_parts(parts, seen, place), None)


def measured(stream: Stream, *, is_step: bool) -> dict[int, Part]:
    """The points of a file of measured ones, from its title on."""
    stream.title()
    stream.word()  # particle coordinates
    (n_points,) = stream.integers(1)
    stream.skip(n_points, 4 * n_points)
    require_end(stream.word(), is_step=is_step)
    return {POINTS: Part(n_points)}


def _skip_lines(stream: Stream, n_values: int) -> None:
    """Skip numbers, of which a line of a text has six."""
    if n_values:
        stream.skip(-(-n_values // _PER_LINE), n_values, (n_values - 1) % _PER_LINE + 1)


def _number(word: str) -> int:
    return int(word.removeprefix("part"))
