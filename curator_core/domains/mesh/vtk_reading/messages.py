"""What VTK says while it reads."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from vtkmodules.vtkCommonCore import vtkLogger, vtkOutputWindow, vtkStringOutputWindow

_PART: Final = re.compile(r"^(ERROR|Warning|Generic Warning): In ", re.MULTILINE)
_PLACE: Final = re.compile(r"^[^\n]*\n(vtk\w+ \(0x[0-9a-f]+\): )?|\(0x[0-9a-f]+\)")
_FOLLOWING: Final = ("returned failure for request", "No update piece number has been set")
"""Words of messages that only pass a failure on."""
_BREAK: Final = "\f"
_MOST: Final = 5


_LEFT_OUT: Final = ("Skipping BC_t node",)
"""Words of messages on boundaries of CGNS that VTK does not read, beside which all else is as it is in the file."""


@contextmanager
def raised(end: str | None = None) -> Iterator[list[str]]:
    """Raise what VTK says within, errors and warnings alike: it goes on with what it has otherwise.

    What it says of what it leaves out is in the list that this gives, afterwards.

    Parameters
    ----------
    end
        A word after the end of what is read, which VTK says that it does not know once it has read all.

    Raises
    ------
    ValueError
        It said something, or nothing of the end.
    """
    window = vtkStringOutputWindow()
    before = vtkOutputWindow.GetInstance()
    vtkLogger.SetStderrVerbosity(vtkLogger.VERBOSITY_OFF)
    vtkOutputWindow.SetInstance(window)
    left_out: list[str] = []
    try:
        yield left_out
    finally:
        vtkOutputWindow.SetInstance(before)
        text: Any = window.GetOutput()  # bytes where they are no UTF-8
        found = _sentences(text if isinstance(text, str) else text.decode(errors="replace"))
    left_out += [f"VTK says: {sentence}" for sentence in found if sentence.startswith(_LEFT_OUT)]
    said = [each for each in found if not each.startswith(_LEFT_OUT) and (end is None or end not in each)]
    if said:
        more = f" (and {len(said) - _MOST} more)" if len(said) > _MOST else ""
        raise ValueError(f"VTK says: {'; '.join(said[:_MOST])}{more}")
    if end is not None and not found:
        raise ValueError("it is cut off: VTK does not come to its end")


def _sentences(text: str) -> list[str]:
    """Each message once, without places in VTK's code and in memory; without those that only pass a failure on."""
    first, *parts = _PART.sub(_BREAK, text).split(_BREAK)
    if first.strip():
        parts.insert(0, f"\n{first}")
    said = dict.fromkeys(
        " ".join(_PLACE.sub("", part).split()).partition(": vtkInformation Debug:")[0] for part in parts
    )
    causes = [sentence for sentence in said if not any(words in sentence for words in _FOLLOWING)]
    return causes or list(said)
