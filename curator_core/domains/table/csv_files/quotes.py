"""Where quotes stand in a text: whether each of its lines is one row, whatever stands within quotes."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

_PIECE: Final = 1 << 17
"""Bytes that a processor's cache holds several times."""
_GROUP: Final = 8 * _PIECE
_QUOTE: Final = ord('"')
_FIRST_END: Final = ord("\n")
_N_ENDS: Final = ord("\r") - ord("\n")
_ALL: Final = np.uint64(2**64 - 1)
_ONE: Final = np.uint64(1)
_TOP: Final = np.uint64(63)
_STEPS: Final = tuple(np.uint64(1 << number) for number in range(6))

_Words = npt.NDArray[np.uint64]


def lines_are_rows(content: object, separator: str) -> bool:
    """Whether no line ends within quotes.

    It is ``False``, too, where quotes stand elsewhere than around values, as in ``5" pipe``. A bit stands for each
    byte, and 64 are looked at together, after Langdale and Lemire, "Parsing gigabytes of JSON per second", VLDB Journal
    28 (2019), section 3.1.

    Parameters
    ----------
    content
        Bytes of the text, as UTF-8, that begin with a row.
    separator
        Between values.
    """
    data = np.frombuffer(content, np.uint8)  # type: ignore[call-overload]  # whatever has a buffer
    is_within, may_begin = False, True
    for start in range(0, len(data), _GROUP):
        group = data[start : start + _GROUP]
        quotes = _bits(group, _QUOTE)
        if is_within or quotes.any():
            ends = _bits(group, _FIRST_END, _N_ENDS)
            borders = _bits(group, ord(separator)) | quotes | ends
            before = borders << _ONE
            before[1:] |= borders[:-1] >> _TOP
            before[0] |= np.uint64(may_begin)
            within = _after_odd(quotes, is_within=is_within)
            is_within = bool(within[-1] >> _TOP)
            if (within & (ends | (quotes & ~before))).any():
                return False
        may_begin = bool(group[-1] in (_QUOTE, ord(separator), ord("\n"), ord("\r")))
    return not is_within


def quoted(content: object, separator: str) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Where quotes around values are opened, and where closed; one that is never closed has no second position.

    Parameters
    ----------
    content, separator
        As of `lines_are_rows`.
    """
    data = np.frombuffer(content, np.uint8)  # type: ignore[call-overload]  # whatever has a buffer
    places = np.flatnonzero(data == _QUOTE)
    before = np.where(places > 0, data[places - 1], ord("\n")) if len(places) else places
    begins = np.isin(before, (ord(separator), ord("\n"), ord("\r")))
    if (begins | (before == _QUOTE))[::2].all():  # none stands within a value that has no quotes around it
        return places[::2], places[1::2]
    opened, closed = list[int](), list[int]()
    marks, may_open, number = places.tolist(), begins.tolist(), 0
    while number < len(marks):
        if may_open[number]:
            opened.append(marks[number])
            number += 1
            while number + 1 < len(marks) and marks[number + 1] == marks[number] + 1:
                number += 2  # two are one of the value
            closed += marks[number : number + 1]
        number += 1
    return np.array(opened, np.int64), np.array(closed, np.int64)


def _bits(group: npt.NDArray[np.uint8], first: int, n_others: int = 0) -> _Words:
    """Which bytes are one, or one of the next few; the lowest bit is the first."""
    bits = np.zeros(-(-len(group) // 64), "<u8")
    packed = bits.view(np.uint8)
    for at in range(0, len(group), _PIECE):
        piece = group[at : at + _PIECE]
        found = piece - np.uint8(first) <= n_others if n_others else piece == first
        own = np.packbits(found, bitorder="little")
        packed[at // 8 : at // 8 + len(own)] = own
    return bits


def _after_odd(bits: _Words, *, is_within: bool) -> _Words:
    """Which bits follow an odd number of those set, or are the last of them."""
    found, shifted = bits.copy(), np.empty_like(bits)
    for step in _STEPS:
        found ^= np.left_shift(found, step, out=shifted)
    carried = np.logical_xor.accumulate((found >> _TOP).astype(np.bool_)) ^ is_within
    found[1:] ^= np.where(carried[:-1], _ALL, np.uint64(0))
    if is_within:
        found[0] ^= _ALL
    return found
