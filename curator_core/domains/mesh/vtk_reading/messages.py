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


@contextmanager
def raised(end: str | None = None) -> Iterator[None]:
    """Raise what VTK says within, errors and warnings alike: it goes on with what it has otherwise.

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
    try:
        yield
    finally:
        vtkOutputWindow.SetInstance(before)
        text: Any = window.GetOutput()  # bytes where they are no UTF-8
        found = _sentences(text if isinstance(text, str) else text.decode(errors="replace"))
    said = [sentence for sentence in found if end is None or end not in sentence]
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
