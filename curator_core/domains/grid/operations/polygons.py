"""Areas that cells of any shape have in common with those of latitudes by longitudes.

In the plane of longitude and sine of latitude areas are those on the sphere (Archimedes), and cells of a grid of
latitudes by longitudes are rectangles. An edge between two corners is a straight line there, as a parallel is, or,
where that would be another way than the great circle, a chain of such lines along it: of neighbours the same one, so
that cells which cover the sphere cover it without gaps, and integrals are kept to the last digits.

References
----------
P. W. Jones, Mon. Wea. Rev. 127, 2204 (1999), integrates along edges, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import Final

import numpy as np
import numpy.typing as npt

from curator_core.domains.grid.operations.horizontal import Floats
from curator_core.domains.grid.operations.triangles import unit_vectors
from curator_core.filters.values import FieldError

Numbers = npt.NDArray[np.intp]

_TURN: Final = 2 * np.pi
_HALVINGS: Final = 4
"""Of an edge that is no straight line in the plane."""
_BENT: Final = 0.001
"""Share of its length by which the middle of a straight line may lie beside that of the great circle."""
_STEEP: Final = 0.9
"""Height on the unit sphere above which another axis than that of the globe is taken for a plane."""
_POLAR: Final = 1e-9
"""Cosine of the latitude of a corner at a pole."""
_MOST_BAD: Final = 0.02
"""Share of cells that may be none, as some of NEMO's are, on land and below ice."""
_FAR: Final = 3.0
"""A point is farther from the middle of its corners than so many times the farthest of them: it is another's cell."""
_BATCH: Final = 1 << 21
"""Edges of cells, times cells of the target, at once."""


def overlaps(
    corners: tuple[Floats, Floats], centres: tuple[Floats, Floats], rows: Floats, columns: Floats
) -> tuple[Numbers, Numbers, Floats, tuple[str, ...]]:
    """Areas in common: number of the target's cell, number of the cell, area on the unit sphere.

    The last value says which cells, if any, are left out, and why.

    Parameters
    ----------
    corners
        Latitudes and longitudes of the corners of the cells in order, degrees, ``(n, n_corners)``; NaN behind the last
        one of cells with fewer.
    centres
        Those of the points of the cells, ``(n,)``.
    rows, columns
        Edges of the target, degrees, ``(m, 2)`` each, which do not overlap.

    Raises
    ------
    FieldError
        Cells have edges that cross, or corners elsewhere than their points; one covers more than half of the sphere.
    """
    numbers, points, left_out = _sound_cells(*corners, centres)
    found = [
        _common(some, x, z, np.sin(np.radians(rows)), np.radians(columns)) for some, x, z in _outlines(numbers, points)
    ]
    targets, cells, areas = (np.concatenate(part) for part in zip(*found, strict=True))
    return targets, cells, areas, left_out


def _sound_cells(
    latitudes: Floats, longitudes: Floats, centres: tuple[Floats, Floats]
) -> tuple[Numbers, Floats, tuple[str, ...]]:
    """Cells that have an area where their points are: their numbers, corners on the unit sphere; which are left out.

    Raises
    ------
    FieldError
        Many have none.
    """
    known = np.isfinite(latitudes) & np.isfinite(longitudes)
    numbers = np.flatnonzero(known[:, 0])
    if not len(numbers):
        raise FieldError("no cell has corners: all bounds of its coordinates are missing")
    last = np.maximum.accumulate(np.where(known, np.arange(known.shape[1]), 0), axis=1)[numbers]
    phi = np.take_along_axis(latitudes[numbers], last, axis=1)
    points = unit_vectors(phi, np.take_along_axis(longitudes[numbers], last, axis=1)).reshape(*phi.shape, 3)
    middle = points.mean(axis=1)
    radius = np.linalg.norm(points - middle[:, None], axis=2).max(axis=1)
    distance = np.linalg.norm(unit_vectors(centres[0][numbers], centres[1][numbers]) - middle, axis=1)
    bad = {
        "have edges that cross": _are_crossed(points),
        "have corners elsewhere than their points": distance > _FAR * radius,
    }
    left_out = []
    for what, flags in bad.items():
        n_bad = np.count_nonzero(flags)
        text = f"{n_bad:,} of {len(points):,} cells, such as number {numbers[flags.argmax()]}, {what}"
        if n_bad > _MOST_BAD * len(points):
            raise FieldError(f"{text}: bounds are corners in order along the edge, and units say which angles they are")
        if n_bad:
            left_out.append(f"{text}: they are left out of the mean")
    sound = ~np.logical_or(*bad.values())
    return numbers[sound], points[sound], tuple(left_out)


def _outlines(numbers: Numbers, points: Floats) -> Iterator[tuple[Numbers, Floats, Floats]]:
    """Cells in the plane, those with as many points at a time: their numbers, longitudes, and sines of latitudes."""
    after = np.roll(points, -1, axis=1)
    bent = _are_bent(points, after)
    plain = ~bent.any(axis=1)
    chains = np.repeat(points[~plain][:, :, None], 1 << _HALVINGS, axis=2)
    chains[bent[~plain]] = _halved(points[~plain][bent[~plain]], after[~plain][bent[~plain]])
    for some, corners in ((numbers[plain], points[plain]), (numbers[~plain], chains.reshape(len(chains), -1, 3))):
        polar = np.hypot(corners[..., 0], corners[..., 1]) < _POLAR
        turns = polar.any(axis=1)
        for chosen in (~turns, turns):
            if chosen.any():
                yield some[chosen], *_unrolled(corners[chosen], polar[chosen])


def _are_crossed(points: Floats) -> npt.NDArray[np.bool_]:
    """Whether two edges of a cell cross, seen from above its middle."""
    middle = points.mean(axis=1)
    first = np.cross(middle, np.where(np.abs(middle[:, 2:]) < _STEEP, [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]))
    second = np.cross(middle, first)
    flat = np.stack([np.einsum("ijk,ik->ij", points, axis) for axis in (first, second)], axis=-1)
    n_corners = flat.shape[1]
    found = np.zeros(len(points), np.bool_)
    for one, other in combinations(range(n_corners), 2):
        if other - one in (1, n_corners - 1):
            continue
        a, b = flat[:, one], flat[:, one + 1]
        c, d = flat[:, other], flat[:, (other + 1) % n_corners]
        found |= (_side(a, b, c) * _side(a, b, d) < 0) & (_side(c, d, a) * _side(c, d, b) < 0)
    return found


def _side(one: Floats, other: Floats, point: Floats) -> Floats:
    """On which side of a line from one point to another a third one lies: above 0 on the left."""
    (x, y), (u, v) = (other - one).T, (point - one).T
    return np.asarray(x * v - y * u)


def _are_bent(one: Floats, other: Floats) -> npt.NDArray[np.bool_]:
    """Whether a straight line in the plane would be another way than the great circle between two points."""
    x, y = (np.arctan2(part[..., 1], part[..., 0]) for part in (one, other))
    step = np.abs(_wrapped(y - x))
    is_parallel = (np.abs(one[..., 2] - other[..., 2]) < _POLAR) & (step <= _TURN / 4)
    is_polar = (np.hypot(one[..., 0], one[..., 1]) < _POLAR) | (np.hypot(other[..., 0], other[..., 1]) < _POLAR)
    middle = one + other
    with np.errstate(divide="ignore", invalid="ignore"):
        middle /= np.linalg.norm(middle, axis=-1, keepdims=True)
    z = (one[..., 2] + other[..., 2]) / 2
    at = x + _wrapped(y - x) / 2
    radius = np.sqrt(np.clip(1 - z**2, 0, None))
    straight = np.stack([radius * np.cos(at), radius * np.sin(at), z], axis=-1)
    aside = np.linalg.norm(straight - middle, axis=-1)
    is_far = ~(aside <= _BENT * np.linalg.norm(one - other, axis=-1))
    return np.asarray(is_far & ~is_parallel & ~is_polar)


def _halved(one: Floats, other: Floats) -> Floats:
    """Points along great circles, without the last one, ``(n, n_points, 3)``: from either end the same.

    One that leads over a pole, or close by, leads through it.
    """
    found = np.stack([one, other], axis=1)
    for _ in range(_HALVINGS):
        middle = found[:, :-1] + found[:, 1:]
        middle /= np.linalg.norm(middle, axis=-1, keepdims=True)
        finer = np.empty((len(found), 2 * found.shape[1] - 1, 3))
        finer[:, ::2], finer[:, 1::2] = found, middle
        found = finer
    x = np.arctan2(found[..., 1], found[..., 0])
    is_over = np.asarray((np.abs(_wrapped(np.diff(x, axis=1))) > _TURN / 4).any(axis=1))
    height = np.abs(found[:, 1:-1, 2])
    is_top = np.asarray(is_over[:, None] & (height >= height.max(axis=1, keepdims=True) - _POLAR))
    found[:, 1:-1][is_top] = np.sign(found[:, 1:-1][is_top]) * [0.0, 0.0, 1.0]
    return found[:, :-1]


def _unrolled(points: Floats, polar: npt.NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Closed outlines in the plane, longitudes without jumps; around a pole, along it, too."""
    x, z = np.arctan2(points[..., 1], points[..., 0]), points[..., 2]
    if polar.any():  # a corner at a pole is a line there, from the longitude before to the one behind
        order = np.arange(x.shape[1])
        before, behind = (_nearest_off(polar, order, way) for way in (-1, 1))
        x = np.stack([np.take_along_axis(x, before, 1), np.take_along_axis(x, behind, 1)], axis=-1).reshape(len(x), -1)
        z = np.repeat(np.where(polar, np.sign(z), z), 2, axis=1)
    steps = _wrapped(np.diff(x, axis=1, append=x[:, :1]))
    x = np.concatenate([x[:, :1], x[:, :1] + np.cumsum(steps, axis=1)], axis=1)
    z = np.concatenate([z, z[:, :1]], axis=1)
    pole = np.where(z.mean(axis=1) > 0, 1.0, -1.0)
    wound = np.rint((x[:, -1] - x[:, 0]) / _TURN)
    x[:, -1] = x[:, 0] + wound * _TURN
    along = np.where(wound != 0, pole, z[:, 0])
    x = np.concatenate([x, x[:, -1:], x[:, :1], x[:, :1]], axis=1)
    return x, np.concatenate([z, along[:, None], along[:, None], z[:, :1]], axis=1)


def _nearest_off(polar: npt.NDArray[np.bool_], order: Numbers, way: int) -> Numbers:
    """Number of the first corner on the way, from each, that is at no pole."""
    found = np.broadcast_to(order, polar.shape).copy()
    for _ in order:
        at_pole = np.take_along_axis(polar, found, axis=1)
        found = np.where(at_pole, (found + way) % len(order), found)
    return found


def _wrapped(steps: Floats) -> Floats:
    return np.asarray(steps - _TURN * np.rint(steps / _TURN))


def _common(numbers: Numbers, x: Floats, z: Floats, rows: Floats, columns: Floats) -> tuple[Numbers, Numbers, Floats]:
    """Areas in common of outlines with rectangles."""
    area = (np.diff(x, axis=1) * (z[:, 1:] + z[:, :-1])).sum(axis=1) / 2
    if (np.abs(area) > _TURN).any():
        cell = numbers[int(np.abs(area).argmax())]
        raise FieldError(f"cell {cell} covers more than half of the globe: its corners are in no order along its edge")
    order = np.argsort(columns[:, 0])
    west, east = columns[order].T
    start = west[0]
    x = x - _TURN * np.floor((x.min(axis=1) - start) / _TURN)[:, None]
    west, east = (np.concatenate([edge - _TURN, edge, edge + _TURN]) for edge in (west, east))
    first, n_wide = _range(west, east, x)
    ranks = np.argsort(rows[:, 0])
    south, north = rows[ranks].T
    lowest, n_high = _range(south, north, z)
    sizes = n_wide * n_high
    bounds = np.searchsorted(np.cumsum(sizes * x.shape[1]), np.arange(0, (sizes * x.shape[1]).sum() + 1, _BATCH))
    cuts = np.unique(np.concatenate([[0], bounds, [len(x)]]))
    found = []
    for begin, end in zip(cuts[:-1].tolist(), cuts[1:].tolist(), strict=True):
        cells = np.repeat(np.arange(begin, end), sizes[begin:end])
        inside = np.arange(len(cells)) - np.repeat(np.cumsum(sizes[begin:end]) - sizes[begin:end], sizes[begin:end])
        row, column = lowest[cells] + inside // n_wide[cells], first[cells] + inside % n_wide[cells]
        shares = _inside(x[cells], z[cells], (west[column], east[column]), (south[row], north[row]))
        shares *= np.sign(area[cells])
        kept = shares > 0
        target = ranks[row] * len(columns) + order[column % len(columns)]
        found.append((target[kept], numbers[cells[kept]], shares[kept]))
    targets, owners, areas = (np.concatenate(part) for part in zip(*found, strict=True))
    return targets, owners, areas


def _range(low: Floats, high: Floats, values: Floats) -> tuple[Numbers, Numbers]:
    """First of rising intervals that values reach into, and how many they do."""
    first = np.searchsorted(high, values.min(axis=1), side="right")
    last = np.searchsorted(low, values.max(axis=1), side="left")
    return first, np.clip(last - first, 0, None)


def _inside(x: Floats, z: Floats, columns: tuple[Floats, Floats], rows: tuple[Floats, Floats]) -> Floats:
    """Area of outlines within rectangles: the integral along the outline of the height above the southern edge."""
    west, east = (edge[:, None] for edge in columns)
    begin, end = x[:, :-1], x[:, 1:]
    step = end - begin
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = np.where(step != 0, (z[:, 1:] - z[:, :-1]) / step, 0.0)
    one, other = np.clip(begin, west, east), np.clip(end, west, east)
    low, high = z[:, :-1] + slope * (one - begin), z[:, :-1] + slope * (other - begin)
    south, north = (edge[:, None] for edge in rows)
    height = _mean_above(low - south, high - south) - _mean_above(low - north, high - north)
    return np.asarray(((other - one) * height).sum(axis=1))


def _mean_above(one: Floats, other: Floats) -> Floats:
    """Mean of what of a line from one height to another is above 0."""
    top, low = np.maximum(one, other), np.minimum(one, other)
    with np.errstate(divide="ignore", invalid="ignore"):
        mixed = top**2 / (2 * (top - low))
    return np.where(low >= 0, (one + other) / 2, np.where(top <= 0, 0.0, mixed))
