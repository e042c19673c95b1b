"""Frames of text files, found without ASE, whose readers stop silently at some and shorten others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Final, TypeAlias

Framing: TypeAlias = Callable[[Iterator[bytes], int], Iterator[tuple[int, list[bytes]]]]
"""Position and lines of each frame, given lines and the position of the first of them."""


class CutOffError(ValueError):
    """The file ends within a structure, or before the end of what wrote it."""


def xyz_frames(lines: Iterator[bytes], position: int) -> Iterator[tuple[int, list[bytes]]]:
    """Frames of an XYZ file, extended or not; blank lines between them are passed over.

    Raises
    ------
    CutOffError
        The last one has fewer atoms than it says.
    ValueError
        A line does not begin a frame.
    """
    line = next(lines, b"")
    while line:
        if not line.strip():
            position, line = position + len(line), next(lines, b"")
            continue
        n_atoms = _count(line)
        frame = [line, *islice(lines, n_atoms + 1)]
        if len(frame) < n_atoms + 2:
            raise CutOffError(f"it ends within a structure, with {max(len(frame) - 2, 0)} of {n_atoms} atoms")
        line = next(lines, b"")
        while line.lstrip().startswith(b"VEC"):
            frame.append(line)
            line = next(lines, b"")
        yield position, frame
        position += sum(map(len, frame))


def lammps_frames(lines: Iterator[bytes], position: int) -> Iterator[tuple[int, list[bytes]]]:
    """Frames of a text dump of LAMMPS.

    Raises
    ------
    CutOffError
        The last one has fewer atoms than it says.
    ValueError
        One in between has, or there are none.
    """
    frame: list[bytes] = []
    n_atoms = None
    for line in lines:
        frame.append(line)
        if frame[-2:-1] and frame[-2].startswith(b"ITEM: NUMBER OF ATOMS"):
            n_atoms = _count(line)
        if not line.startswith(b"ITEM: ATOMS"):
            continue
        if n_atoms is None:
            raise ValueError("a frame does not say how many atoms it has")
        rows = list(islice(lines, n_atoms))
        if any(row.startswith(b"ITEM:") for row in rows):
            raise ValueError(f"a frame has fewer atoms than the {n_atoms} that it says")
        if len(rows) < n_atoms:
            raise CutOffError(f"it ends within a structure, with {len(rows)} of {n_atoms} atoms")
        frame += rows
        yield position, frame
        position += sum(map(len, frame))
        frame, n_atoms = [], None
    if any(line.strip() for line in frame):
        raise CutOffError("it ends within the head of a frame")


FRAMINGS: Final[dict[str, Framing]] = {
    "extxyz": xyz_frames,
    "xyz": xyz_frames,
    "lammps-dump-text": lammps_frames,
}
"""Formats whose frames are found here."""


def _count(line: bytes) -> int:
    try:
        number = int(line)
    except ValueError:
        number = -1
    if number < 0:
        raise ValueError(f"a number of atoms was expected, not {line.decode('utf-8', 'replace').strip():.60}")
    return number
