"""Whether an ASE trajectory is whole, by its own table of frames."""

from __future__ import annotations

import os
from typing import BinaryIO, Final

import numpy as np

from curator_core.domains.atoms.ase_files.framing import CutOffError

_MAGIC: Final = (b"- of Ulm", b"AFFormat")
_HEAD_BYTES: Final = 48
_TABLE_GROWS: Final = 42


def require_trajectory(file: BinaryIO) -> None:
    """Make sure that a file is a trajectory, and of the format that holds no pickled objects.

    Raises
    ------
    ValueError
        It is none.
    """
    file.seek(0)
    start = file.read(24)
    if start.startswith(b"PickleTrajectory"):
        raise ValueError(
            "a trajectory of ASE before 3.10, whose pickled objects run what they say when they are read, and are "
            "refused; where you trust it, convert it with: python -m ase.io.trajectory FILE"
        )
    if start[:8] not in _MAGIC or start[8:].rstrip() != b"ASE-Trajectory":
        raise ValueError("it is no ASE trajectory")


def require_end(file: BinaryIO) -> None:
    """Make sure that a trajectory ends where the last frame of its table does.

    Raises
    ------
    CutOffError
        It ends before, or a frame was begun there, and not ended.

    References
    ----------
    ase.io.ulm, version 3: a frame ends with its text, after the length of it; the table of frames has room for powers
    of 42, and stands at the end when it has grown.
    """
    file.seek(24)
    _, n_frames, table = _integers(file, 3)
    end = _HEAD_BYTES
    if n_frames:
        file.seek(table)
        (*_, last) = _integers(file, n_frames)
        file.seek(last)
        room = 1
        while room < n_frames:
            room *= _TABLE_GROWS
        end = max(last + 8 + _integers(file, 1)[0], table + 8 * room)
    size = file.seek(0, os.SEEK_END)
    if size < end:
        raise CutOffError(f"it has {size} of {end} bytes")
    if size > max(end, _HEAD_BYTES + 8):
        raise CutOffError(f"{size - end} bytes of an unfinished structure stand after its {n_frames} structures")


def _integers(file: BinaryIO, number: int) -> list[int]:
    data = file.read(8 * number)
    if len(data) < 8 * number:
        raise CutOffError("it ends within its structures")
    found: list[int] = np.frombuffer(data, "<i8").tolist()
    return found
