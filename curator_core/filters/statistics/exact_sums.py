"""Exact sums of powers of floats, as fast as memory: they are the same in any order and in any pieces."""

from __future__ import annotations

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
_OFTEN: Final = 16
"""Each number is there so many times, on average, where they are counted."""
_AT_ONCE: Final = 8
"""Rows of numbers that are taken at once, so that they stay in the cache and calls take no time beside them."""
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
    is_short = values.dtype == np.float32
    is_fast = is_short and is_sorted and n_powers == 2  # noqa: PLR2004 - powers
    if is_fast and (repeated := _repeated_sums(values)):
        return repeated
    sums = [0] * n_powers
    n_whole = len(values) // _BLOCK
    rows = values[: n_whole * _BLOCK].reshape(n_whole, _BLOCK)
    near = _near_sums(rows, sums) if is_fast and n_whole else np.zeros(n_whole, np.bool_)
    left = [rows[place] for place in np.flatnonzero(~near)] + [values[n_whole * _BLOCK :]]
    for block in left if len(left[-1]) else left[:-1]:
        found = (_short_sums(block) if is_fast else None) or _long_sums(
            block.astype(np.float64), n_powers, is_short=is_short
        )
        for power, each in enumerate(found):
            sums[power] += each
    return sums


def _repeated_sums(values: Reals) -> list[int] | None:
    """Sum and sum of squares of increasing numbers of 24 digits, from how often each is there.

    ``None`` where many differ. Fields that were packed to a few digits have some thousand numbers, each many times.
    """
    middle = len(values) // 2
    for part in (values[middle : middle + _BLOCK], values):
        is_new = part[1:] != part[:-1]
        if np.count_nonzero(is_new) * _OFTEN > len(part):
            return None
    starts = np.flatnonzero(is_new) + 1
    fractions, exponents = np.frexp(values[np.append(0, starts)])
    counts = np.diff(starts, prepend=0, append=len(values))
    digits = np.ldexp(fractions, _SHORT_DIGITS).astype(np.int64)
    upper, lower = np.divmod(digits**2, 1 << _SHORT_DIGITS)  # 24 digits each, so that 2**39 of them fit in 64
    firsts = np.flatnonzero(np.diff(exponents, prepend=exponents[0] - 1))
    found = np.add.reduceat(counts * [digits, upper, lower], firsts, axis=1)
    sums = [0, 0]
    for exponent, total, high, low in zip(exponents[firsts].tolist(), *found.tolist(), strict=True):
        unit = SCALE + exponent - _SHORT_DIGITS
        sums[0] += total << unit
        sums[1] += (high << _SHORT_DIGITS) + low << 2 * unit
    return sums


def _near_sums(rows: Reals, sums: list[int]) -> npt.NDArray[np.bool_]:
    """Add the sums and sums of squares of rows of increasing numbers of 24 digits, from differences to the middle ones.

    Returns
    -------
    numpy.ndarray
        ``(n_rows,)``, which rows are added: those whose numbers are near each other, as of many they are.
    """
    n_rows, length = rows.shape
    low, middle, high = (rows[:, place].astype(np.float64) for place in (0, length // 2, -1))
    sizes = np.frexp(np.minimum(np.abs(low), np.abs(high)))[1] - _SHORT_DIGITS
    units = np.maximum(sizes, -_SHORT)  # all numbers of a row are multiples of 2**unit
    near: npt.NDArray[np.bool_] = low * high > 0
    near &= np.maximum(high - middle, middle - low) <= np.ldexp(1.0, units + _NEAR)
    beyond, ones = np.empty((min(_AT_ONCE, n_rows), length)), _ONES[:length, np.newaxis]
    added = np.empty((2, n_rows))
    for start in range(0, n_rows, _AT_ONCE):
        some = slice(start, start + _AT_ONCE)
        part = beyond[: len(rows[some])]
        part[:] = rows[some]
        part -= middle[some, np.newaxis]
        added[0, some] = (part[:, np.newaxis] @ ones)[:, 0, 0]
        added[1, some] = (part[:, np.newaxis] @ part[:, :, np.newaxis])[:, 0, 0]
    middles, more, squares = np.ldexp([middle, *added], [-units, -units, -2 * units])[:, near].astype(np.int64)
    totals = length * middles + more
    squares += middles * (totals + more)
    for unit, total, square in zip(units[near].tolist(), totals.tolist(), squares.tolist(), strict=True):
        sums[0] += total << SCALE + unit
        sums[1] += square << 2 * (SCALE + unit)
    return near


def _short_sums(block: Reals) -> list[int] | None:
    """Sum and sum of squares of increasing numbers of 24 digits; ``None`` where they are not alike."""
    low, high = float(block[0]), float(block[-1])
    if low * high <= 0 or max(abs(low), abs(high)) > 2.0**_ALIKE * min(abs(low), abs(high)):
        return None
    numbers = block.astype(np.float64)
    upper = (block.view(np.uint32) & _UPPER).view(np.float32).astype(np.float64)
    lower = numbers - upper
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
