"""A source whose files end, or hold up, the process that reads them; and what its reader process runs."""

from __future__ import annotations

import ctypes
import logging
import pathlib
import sys

import numpy as np

from curator_core import FileSource
from curator_core.domains.mesh import Mesh, MeshPart
from curator_core.domains.mesh.fenced import read_fenced
from curator_core.domains.mesh.operations.mesh_filter import MeshFilter


class KillingSource(FileSource):
    """One word in each file says what happens to its reader."""

    name = "test_killing"

    def read(self, item):
        answer = read_fenced(f"{__name__}:read", {"path": str(item.path)})
        yield Mesh({"interior": MeshPart(answer.arrays[0])})


class KillingFilter(MeshFilter):
    """Ends its process where the first coordinate is negative."""

    name = "test_killing_filter"
    is_fenced = True

    def changed(self, part, name):
        logging.getLogger("curator").warning("seen %s", part.points[0, 0])
        if part.points[0, 0] < 0:
            ctypes.string_at(0)
        return part.with_data(point_data={**part.point_data, "twice": 2 * part.points})


def read(path):
    """Points, or the end."""
    with pathlib.Path(path).open() as file:
        word = file.read()
    if word == "die":
        sys.stderr.write("last words\n")
        sys.stderr.flush()
        ctypes.string_at(0)
    if word == "exit":
        sys.exit(3)
    if word == "hang":
        ctypes.PyDLL(None).sleep(300)  # holds the GIL, as VTK does
    return None, [np.full((4, 3), float(word))], []


def echo(arrays):
    """Arrays of some types, and what process this is."""
    import os

    made = [np.array(values).astype(dtype) for values, dtype in arrays]
    return {"pid": os.getpid()}, made, []


def wait_for(idle_s):
    """How long this process waits for the next file."""
    from curator_core.domains.mesh.fenced import serving

    serving._IDLE_S = idle_s  # type: ignore[misc]  # a test's process alone
    return None, [], []
