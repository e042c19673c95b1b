"""Exact sums of powers of floats, as fast as memory: they are the same in any order and in any pieces."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import combinations, product
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Reals = npt.NDArray[np.floating[Any]]

SCALE: Final = 1126
"""Sums of a power p are in units of 2**(-1126 p), of which every sum of floats is a whole number."""
_ROOM: Final = 13
_BLOCK: Final = (1 << _ROOM) - 2
"""So many numbers at once: what a pass takes of them adds up without rounding, and they stay in the cache."""
_ONES: Final = np.ones(_BLOCK)
_DIGITS: Final = 53
_HALF: Final = 26
_UPPER: Final = np.uint32(0xFFFFF000)
"""Bits of a number of 32 that hold the upper half of its 24 digits, or a digit less than that."""
_SHORT: Final = 149
"""Short numbers are multiples of 2**-149."""
_SHORT_DIGITS: Final = 24
_ALIKE: Final = 7
"""Numbers of a block whose sizes differ by 2**7: products of halves have 24 + 2 * 7 digits, and _ROOM for their sum."""
_NEAR: Final = 20
"""Numbers of a block that differ by at most 2**20 units: squares of differences have 2 * 20 digits, and _ROOM."""
_REACH: Final = 200
"""Fourth powers of numbers between 2**-200 and 2**200 neither overflow nor lose digits."""


def power_sums(values: Reals, n_powers: int = 2, *, is_sorted: bool = False) -> list[int]:
    """Exact sums of the powers of finite numbers.

    Parameters
    ----------
    values
        ``(n,)``, finite.
    n_powers
        Powers from the first to this one, the fourth at most.
    is_sorted
        They increase. Such numbers of ``float32`` take a tenth of the time.

    Returns
    -------
    list of int
        Sums of the powers p = 1, 2, …, in units of 2**(-1126 p).

    Notes
    -----
    A number that is added to a large power of two and has that taken away again is rounded to a multiple of a common
    unit, and such multiples are added without rounding; what the rounding left is added in the next pass. Products are
    exact where both factors have half of the digits.

    References
    ----------
    S. M. Rump, T. Ogita, S. Oishi, "Accurate floating-point summation part I", SIAM J. Sci. Comput. 31 (2008) 189.
    """
    sums = [0] * n_powers
    is_short = values.dtype == np.float32
    room = np.empty((3, min(_BLOCK, len(values))))
    for start in range(0, len(values), _BLOCK):
        block = values[start : start + _BLOCK]
        is_fast = is_short and is_sorted and n_powers == 2  # noqa: PLR2004 - powers
        short = (_near_sums(block, room[0]) or _short_sums(block, room)) if is_fast else None
        for power, found in enumerate(short or _long_sums(block.astype(np.float64), n_powers, is_short=is_short)):
            sums[power] += found
    return sums


def _near_sums(block: Reals, room: Floats) -> list[int] | None:
    """Sum and sum of squares of increasing numbers of 24 digits, from differences to the one in the middle.

    ``None`` where they are not near each other, as in a block of many they are.
    """
    low, middle, high = float(block[0]), float(block[len(block) // 2]), float(block[-1])
    if low * high <= 0:
        return None
    unit = max(math.frexp(min(abs(low), abs(high)))[1] - _SHORT_DIGITS, -_SHORT)  # all are multiples of 2**unit
    if max(high - middle, middle - low) > 2.0 ** (unit + _NEAR):
        return None
    beyond = room[: len(block)]
    beyond[:] = block - block[len(block) // 2]  # exact, since differences have 20 digits
    one, more = int(middle * 2.0**_SHORT), int(beyond @ _ONES[: len(block)] * 2.0**_SHORT)
    squares = int(beyond @ beyond * 2.0 ** (2 * _SHORT)) + 2 * one * more + len(block) * one**2
    return [len(block) * one + more << SCALE - _SHORT, squares << 2 * (SCALE - _SHORT)]


def _short_sums(block: Reals, room: Floats) -> list[int] | None:
    """Sum and sum of squares of increasing numbers of 24 digits; ``None`` where they are not alike."""
    low, high = float(block[0]), float(block[-1])
    if low * high <= 0 or max(abs(low), abs(high)) > 2.0**_ALIKE * min(abs(low), abs(high)):
        return None
    numbers, upper, lower = room[:, : len(block)]
    numbers[:] = block
    upper[:] = (block.view(np.uint32) & _UPPER).view(np.float32)
    np.subtract(numbers, upper, out=lower)
    unit = 2.0**_SHORT
    squares = int(upper @ upper * unit**2) + 2 * int(upper @ lower * unit**2) + int(lower @ lower * unit**2)
    total = int(numbers @ _ONES[: len(numbers)] * unit)
    return [total << SCALE - _SHORT, squares << 2 * (SCALE - _SHORT)]


def _long_sums(block: Floats, n_powers: int, *, is_short: bool) -> list[int]:
    """Sums of the powers of any numbers."""
    sums = [0] * n_powers
    for exponent, numbers in _within_reach(block):
        for power, found in _powers(numbers, n_powers, is_short=is_short):
            sums[power - 1] += sum(_sum(*term, power * (SCALE + exponent)) for term in found)
    return sums


def _within_reach(block: Floats) -> Iterator[tuple[int, Floats]]:
    """Numbers over powers of two that make them neither large nor small, and the exponents of these."""
    sizes = np.abs(block)
    small = sizes < 2.0**-_REACH
    if sizes.max() <= 2.0**_REACH and not (small.any() and sizes[small].any()):
        yield 0, block
        return
    bands = np.rint(np.frexp(block)[1] / (2 * _REACH)).astype(np.int64)
    for band in np.unique(bands).tolist():
        yield 2 * _REACH * band, np.ldexp(block[bands == band], -2 * _REACH * band)


_Term = tuple[Floats, int]
"""Numbers, and an exponent of two that none of them exceeds."""


def _powers(numbers: Floats, n_powers: int, *, is_short: bool) -> Iterator[tuple[int, list[_Term]]]:
    """Powers as terms whose sum they are, each exact."""
    first = (numbers, int(np.frexp(max(numbers.max(), -numbers.min()))[1]))
    yield 1, [first]
    halves = [first] if is_short else _halves([first])
    squares = _squares(halves)
    yield 2, squares
    if n_powers > 2:  # noqa: PLR2004 - powers
        square_halves = _halves(squares)
        yield 3, _products(square_halves, halves)
        yield 4, _squares(square_halves)


def _halves(terms: list[_Term]) -> list[_Term]:
    """The same sum of terms that have half of the digits (Veltkamp's splitting)."""
    found = []
    for numbers, bound in terms:
        high = numbers * (2.0 ** (_HALF + 1) + 1)
        high -= high - numbers
        low = numbers - high
        found.append((high, bound))
        if low.any():
            found.append((low, bound - _HALF))
    return found


def _products(some: list[_Term], others: list[_Term]) -> list[_Term]:
    return [(first * second, bound + other) for (first, bound), (second, other) in product(some, others)]


def _squares(terms: list[_Term]) -> list[_Term]:
    mixed = [(2.0 * first * second, bound + other + 1) for (first, bound), (second, other) in combinations(terms, 2)]
    return [(numbers * numbers, 2 * bound) for numbers, bound in terms] + mixed


def _sum(numbers: Floats, bound: int, scale: int) -> int:
    """Exact sum of a block, in units of ``2**-scale``."""
    total = 0
    ones = _ONES[: len(numbers)]
    while True:
        large = 2.0 ** (bound + _ROOM)
        rounded = numbers + large
        rounded -= large
        total += _whole(float(rounded @ ones), scale)
        if (numbers == rounded).all():
            return total
        numbers = numbers - rounded
        bound += _ROOM - _DIGITS


def _whole(number: float, scale: int) -> int:
    """A number in units of ``2**-scale``, of which it is a multiple."""
    numerator, denominator = number.as_integer_ratio()
    shift = scale + 1 - denominator.bit_length()
    return numerator << shift if shift >= 0 else numerator >> -shift
