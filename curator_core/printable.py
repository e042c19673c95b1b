"""Text that was made elsewhere (keys, names of files, errors), safe to show: the one place that knows how."""

from __future__ import annotations

_LONG = 40_000
"""Characters from which on the end says more than the beginning, as of a traceback."""


def printable(text: str, *, keep: str = "") -> str:
    r"""`text` with the characters escaped that a terminal would act on, or cannot show.

    These are control characters (C0, C1, DEL), marks that change the direction of text, line and paragraph
    separators, and halves of surrogate pairs: ``\x1b``, ``\u202e``.

    Parameters
    ----------
    text
        Any text.
    keep
        Characters that stay as they are.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep else ascii(c)[1:-1] for c in text)


def printable_lines(text: str) -> str:
    """`text` with its lines as they are, tabs as spaces, and all else escaped, see `printable`."""
    return printable(text.replace("\t", "    "), keep="\n")


def shortened(text: str, limit: int) -> str:
    """`text`, with its middle left out, which is said, where it is longer than `limit` characters."""
    if len(text) <= limit:
        return text
    n_first, n_last = limit // 4, limit - limit // 4
    if limit < _LONG:  # of a message, the beginning says more
        n_first, n_last = n_last, n_first
    return f"{text[:n_first]} […{len(text) - limit:,} characters left out…] {text[-n_last:]}"
