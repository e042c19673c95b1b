"""Differences of fields between times that are a step apart, whatever the pieces in which the times come."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from curator_core.domains.grid.times import Instants, label
from curator_core.errors import MergeError
from curator_core.filters.statistics.exact_sums import Reals
from curator_core.filters.statistics.moments import Moments

_FORMAT: Final = "curator-tendencies-1"
_DAMAGED: Final = (zipfile.BadZipFile, OSError, EOFError, KeyError, TypeError)


@dataclass(frozen=True, slots=True)
class About:
    """What is the same at all times of a field."""

    units: str
    """Of its values; empty where nothing says so."""
    calendar: str
    """Of its times."""
    grid: str
    """Digest of its dimensions and coordinates but time."""


@dataclass(slots=True)
class _Edge:
    """A field at a time of which a neighbour was not seen yet."""

    values: Reals
    """``(n,)``."""
    is_first: bool = True
    """Whether it lacks the time a step before."""
    is_last: bool = True
    """Whether it lacks the time a step after."""


@dataclass(slots=True)
class _Series:
    """One field at all times."""

    about: About
    first_key: str
    moments: Moments = field(default_factory=Moments)
    edges: dict[int, _Edge] = field(default_factory=dict)
    axes: list[tuple[str, Instants]] = field(default_factory=list)
    """Item and times that are merged."""
    times: set[int] = field(default_factory=set)
    """Times of the item that is processed."""

    def add(self, instant: int, step: int, edge: _Edge) -> None:
        """Take in a time, and the differences from and to those that wait for it."""
        before, after = self.edges.get(instant - step), self.edges.get(instant + step)
        if edge.is_first and before is not None and before.is_last:
            self._count(before.values, edge.values)
            before.is_last = edge.is_first = False
        if edge.is_last and after is not None and after.is_first:
            self._count(edge.values, after.values)
            edge.is_last = after.is_first = False
        self.edges[instant] = edge
        for each in (instant - step, instant, instant + step):
            found = self.edges.get(each)
            if found is not None and not (found.is_first or found.is_last):
                del self.edges[each]

    def _count(self, earlier: Reals, later: Reals) -> None:
        with np.errstate(over="ignore", invalid="ignore"):
            apart = later.astype(np.float64) - earlier.astype(np.float64)
        self.moments.add(apart + 0.0)  # no zero is negative
        self.moments.samples += 1


class StepPairs:
    """Moments of the differences of all fields, of one item or of many.

    Parameters
    ----------
    step
        Microseconds between two times that belong together.
    """

    def __init__(self, step: int) -> None:
        self._step = step
        self._series: dict[str, _Series] = {}

    def add(self, name: str, about: About, instant: int, values: Reals) -> None:
        """Take in a field of the item at one time, ``(n,)``, which is kept.

        Raises
        ------
        ValueError
            The item has the time twice, or the field on another grid.
        """
        series = self._series.setdefault(name, _Series(about, ""))
        if series.about != about:
            raise ValueError(f"field {name!r} has other units, calendar or coordinates than at a time before")
        if instant in series.times:
            raise ValueError(f"field {name!r} is there twice at {label(instant, about.calendar)}")
        series.times.add(instant)
        series.add(instant, self._step, _Edge(values))

    def to_bytes(self, key: str) -> bytes:
        """What `merge` takes in: the same for the same values.

        Parameters
        ----------
        key
            Of the item.
        """
        axes: dict[tuple[int, ...], int] = {}
        arrays: dict[str, Any] = {}
        fields = []
        for number, (name, series) in enumerate(sorted(self._series.items())):
            axis = axes.setdefault(tuple(sorted(series.times)), len(axes))
            about = [series.about.units, series.about.calendar, series.about.grid]
            fields.append([name, about, axis, series.moments.to_state()])
            edges = sorted(series.edges.items())
            arrays[f"at{number}"] = np.array([[at, each.is_first, each.is_last] for at, each in edges], np.int64)
            arrays[f"values{number}"] = np.stack([each.values for _, each in edges])
        arrays |= {f"axis{number}": np.array(times, np.int64) for times, number in axes.items()}
        head = json.dumps({"format": _FORMAT, "key": key, "fields": fields})
        file = io.BytesIO()
        np.savez(file, head=np.frombuffer(head.encode(), np.uint8), **arrays)
        return file.getvalue()

    def merge(self, content: bytes) -> None:
        """Take in an item.

        Raises
        ------
        ValueError
            Its content is not what `to_bytes` gave.
        MergeError
            It has a field on another grid or in another unit than an item before.
        """
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as file:
                head = json.loads(file["head"].tobytes())
                if head["format"] != _FORMAT:
                    raise ValueError(f"its format is {head['format']!r}")
                axes = {axis: file[f"axis{axis}"] for axis in sorted({axis for _, _, axis, _ in head["fields"]})}
                for number, (name, about, axis, state) in enumerate(head["fields"]):
                    series = self._known(name, About(*about), head["key"])
                    series.moments.merge(Moments.from_state(state))
                    series.axes.append((head["key"], axes[axis]))
                    for at, values in zip(file[f"at{number}"].tolist(), file[f"values{number}"], strict=True):
                        series.add(at[0], self._step, _Edge(values, bool(at[1]), bool(at[2])))
        except _DAMAGED as exc:
            raise ValueError(f"it is damaged: {exc}") from exc

    def _known(self, name: str, about: About, key: str) -> _Series:
        series = self._series.setdefault(name, _Series(about, key))
        for what, ours, theirs in (
            ("in other units", series.about.units, about.units),
            ("in another calendar", series.about.calendar, about.calendar),
            ("on other coordinates", series.about.grid, about.grid),
        ):
            if ours != theirs:
                raise MergeError(
                    f"field {name!r} is {what} in the item {key!r} than in {series.first_key!r}: bring them to one, "
                    "or divide the field with by="
                )
        return series

    def rows(self) -> list[dict[str, Any]]:
        """Rows of the table of what was merged, sorted by field.

        Raises
        ------
        MergeError
            Two items have the same time of a field.
        """
        checked: set[tuple[int, ...]] = set()
        rows = []
        for name, series in sorted(self._series.items()):
            arrays = tuple(id(times) for _, times in series.axes)
            if arrays not in checked:
                _require_once(name, series.axes, series.about.calendar)
                checked.add(arrays)
            rows.append(
                {
                    "field": name,
                    "count": series.moments.count,
                    "n_nonfinite": series.moments.nonfinite,
                    "n_pairs": series.moments.samples,
                    "n_steps": sum(len(times) for _, times in series.axes),
                    **series.moments.row(),
                    "units": series.about.units,
                }
            )
        return rows


def _require_once(name: str, axes: Sequence[tuple[str, Instants]], calendar: str) -> None:
    times = np.concatenate([each for _, each in axes])
    order = np.argsort(times, kind="stable")
    twice = np.flatnonzero(np.diff(times[order]) == 0)
    if len(twice):
        owners = np.repeat(np.arange(len(axes)), [len(each) for _, each in axes])[order]
        first, second = (axes[owners[twice[0] + n]][0] for n in range(2))
        raise MergeError(
            f"field {name!r} at {label(int(times[order][twice[0]]), calendar)} is in the items {first!r} and "
            f"{second!r}: take one of them out of the source"
        )
