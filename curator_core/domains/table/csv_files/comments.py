"""Lines of a CSV file that are comments."""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from curator_core.domains.table.csv_files.quotes import quoted

_MARK = "#"
"""Of most files that have comments."""
_END, _QUOTE = b"\r\n", ord('"')

HINT = f"Where lines that begin with '{_MARK}' are comments, say comment='{_MARK}'"
"""What can be done about lines that look like comments."""


def is_marked(line: str) -> bool:
    """Whether a line looks like a comment."""
    return line.startswith(_MARK)


def after_comments(content: pa.Buffer, start: int, mark: str | None) -> int:
    """Position of the first line, from a position on, that is neither a comment nor blank."""
    if mark is None:
        return start
    found = re.compile(rb"(?:[\r\n]*%b[^\r\n]*)*[\r\n]*" % re.escape(mark.encode())).match(content, start)
    return start if found is None else found.end()


def blanked(content: pa.Buffer, start: int, separator: str, mark: str) -> pa.Buffer:
    """The text with blank lines in the place of comments, so that every row stays where it is.

    What begins with the mark within quotes is no comment, and quotes within a comment are none.

    Parameters
    ----------
    content
        All of the text, as UTF-8.
    start
        Position of the first byte after the header.
    separator
        Between values.
    mark
        With which comments begin.
    """
    data = np.frombuffer(content, np.uint8)[start:]
    places = np.flatnonzero(data == ord(mark))
    places = places[(places == 0) | np.isin(data[places - 1], list(_END))]
    if not len(places):
        return content
    own, text, begin = data.copy(), content.slice(start), 0
    for place in places.tolist():
        is_open, begin = _open_at(data, begin, place, separator)
        if not is_open:
            found = re.compile(rb"[\r\n]|\Z").search(text, place)
            begin = len(data) if found is None else found.start()
            own[place:begin] = ord("\r")  # which counts as no line, as those that end with "\n" do
    return pa.py_buffer(content.slice(0, start).to_pybytes() + own.tobytes())


def _open_at(data: npt.NDArray[np.uint8], begin: int, place: int, separator: str) -> tuple[bool, int]:
    """Whether a place is within quotes, given one before that is not, or at which one opens; and the last such one."""
    if not (data[begin:place] == _QUOTE).any():
        return False, place
    opened, closed = quoted(data[begin:place], separator)
    return len(opened) > len(closed), begin + int(opened[-1]) if len(opened) > len(closed) else place
