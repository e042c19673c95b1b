"""Holds the files of a case against what its geometry says."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from curator_core.domains.mesh.vtk_reading.ensight import gold, six
from curator_core.domains.mesh.vtk_reading.ensight.case import Case, Located, Variable
from curator_core.domains.mesh.vtk_reading.ensight.streams import Binary, CutOffError, Stream, Text

T = TypeVar("T")
_C: Final = b"C Binary"
_FORTRAN: Final = b"Fortran Binary"
_LINE: Final = 80
_START: Final = 1024
_MOST_PARTS: Final = 1 << 16
"""Numbers of parts that VTK reads are below."""
_POINT: Final = 12
"""Bytes."""


def require_whole_ensight(path: Path, time: float | None, arrays: list[str] | None) -> list[str]:
    """What is to be said of the files of a case at a time; VTK takes zeros, or stale values, for what they lack.

    Parameters
    ----------
    path
        The case file.
    time
        As VTK gives it.
    arrays
        Names of the variables that are read; all by default.

    Raises
    ------
    ValueError
        A file is shorter or longer than the geometry has it, or VTK does not read what is in it as it is meant.
    """
    try:
        case = Case(path)
    except IndexError as exc:
        raise ValueError("a line of it lacks what follows its colon") from exc
    if case.geometry is None:  # VTK says so
        return []
    files = _Files(case, time, case.geometry)
    said: list[str] = []
    for variable in case.variables:
        if arrays is None or variable.name in arrays:
            said += files.check(variable)
    return said


class _Files:
    """The files of a case at a time."""

    def __init__(self, case: Case, time: float | None, geometry: Located) -> None:
        self._case = case
        self._time = time
        self._form = gold if case.is_gold else six
        self._opened = _opener(case.step(geometry, time).path, is_gold=case.is_gold)
        self._parts = self._read(geometry, self._form.geometry, has_head=True)
        self._measured = {} if case.measured is None else self._read(case.measured, six.measured, has_head=True)

    def check(self, variable: Variable) -> list[str]:
        """What is to be said of a variable."""
        if not self._case.is_read(variable, self._time):
            return [f"VTK does not read {variable.name!r} at time {self._time}: that of the geometry is later"]
        is_measured = variable.place == "measured"
        said = []
        for located in variable.files:
            wanted = partial(
                six.variable if is_measured else self._form.variable,
                parts=self._measured if is_measured else self._parts,
                place="node" if is_measured else variable.place,
                n_components=variable.n_components,
            )
            lacking, undefined = self._read(located, wanted)
            name = self._case.step(located, self._time).path.name
            if lacking:
                said.append(f"{name}: no values of {variable.name!r} for the parts {', '.join(map(str, lacking))}")
            if undefined is not None:
                said.append(f"{name}: {undefined} stands for values of {variable.name!r} that are not defined")
        return said

    def _read(self, located: Located, take: Callable[..., T], *, has_head: bool = False) -> T:
        """What is found in the file that has the time."""
        path, number = self._case.step(located, self._time)
        if not path.is_file():
            raise ValueError(f"{path} is missing, which it names")
        try:
            stream = self._opened(path)
            if number is not None:
                stream.to_step(number)
            elif has_head and not stream.is_text:
                stream.title()
            return take(stream, is_step=number is not None)
        except CutOffError as exc:
            raise ValueError(f"{path} is cut off: {exc}") from exc
        except (ValueError, IndexError) as exc:
            raise ValueError(f"{path} is not as its case has it: {exc}") from exc


def _opener(path: Path, *, is_gold: bool) -> Callable[[Path], Stream]:
    """What opens the files of a case, all of which are as its geometry is."""
    content = b""
    if path.is_file():
        with path.open("rb") as file:
            content = file.read(_START)
    if content.startswith(_C):
        at = content.find(b"part" if is_gold else b"coordinates", 5 * _LINE) + _LINE  # after titles and ids
        most = _MOST_PARTS if is_gold else path.stat().st_size // _POINT
        is_little = 0 < int.from_bytes(content[at : at + 4], "little") <= most
        return partial(Binary, order="<" if is_little else ">", has_records=False)
    if content[4:].startswith(_FORTRAN):
        if not is_gold:
            raise ValueError("VTK does not read EnSight 6 that Fortran wrote: write EnSight Gold")
        return partial(Binary, order="<" if content.startswith(_LINE.to_bytes(4, "little")) else ">", has_records=True)
    return Text
