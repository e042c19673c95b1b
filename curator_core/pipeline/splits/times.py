"""Splits by time, with a gap between them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import ClassVar

from curator_core.errors import ConfigError
from curator_core.pipeline.splits.dates import IN_KEYS, PARTS, calendar_of, instant, seconds_of, span
from curator_core.pipeline.splits.rules import SplitRule, check_names


@dataclass(frozen=True)
class SplitByTime(SplitRule):
    r"""Every item by the time in its key: that of its step, ``sst.nc#2015-01-16T12:00:00``, or of its file.

    Periods are given by their first and last date, both of which are in it: ``2015`` is the whole year, ``2015-12-31``
    the whole day. An item between the periods is in none, and so is one nearer to the start of a later one than the
    gap. An item in whose key there is no time is an error.

    Raises
    ------
    ConfigError
        Periods overlap, a date is none of the calendar, or the pattern finds no year.

    Examples
    --------
    >>> rule = SplitByTime({"train": ["1979", "2015"], "test": ["2016", None]}, gap="7d")
    >>> rule.split("era5.zarr#2015-12-24T00:00:00"), rule.split("era5.zarr#2015-12-26T00:00:00")
    ('train', '')
    """

    periods: Mapping[str, Sequence[str | int | None]]
    """First and last date of each split; ``None`` for no end."""
    gap: str = ""
    """Shortest time between an item and the start of a later period of another split: ``7d``, ``36h``, ``30min``."""
    duration: str = ""
    """How long an item lasts from the time in its key on, where it has several steps: all must be in its period."""
    calendar: str = "standard"
    """Name of the calendar of the times, by the CF conventions."""
    pattern: str | None = None
    r"""Regular expression that finds a time in a key, with groups ``year``, and as far as it goes ``month``, ``day``,
    ``hour``, ``minute`` and ``second``: ``_(?P<year>\d{4})(?P<month>\d\d)\.nc``. By default the last
    ``2015-01-16T12:00:00`` of a key, or as much of it as there is, down to ``2015-01``."""

    by: ClassVar[str] = "time"

    def __post_init__(self) -> None:
        """Raise `ConfigError` where the rule is none."""
        check_names(self.periods)
        seconds_of(self.gap), seconds_of(self.duration)
        if "year" not in self._finder.groupindex:
            raise ConfigError(f"The pattern {self.pattern!r} of a split by time finds no (?P<year>…).")
        ordered = sorted(self._spans.items(), key=lambda entry: entry[1])
        for (first, (_, end)), (second, (start, _)) in pairwise(ordered):
            if start < end:
                raise ConfigError(f"The periods of the splits {first!r} and {second!r} overlap.")

    @cached_property
    def _finder(self) -> re.Pattern[str]:
        try:
            return re.compile(self.pattern or IN_KEYS)
        except re.error as exc:
            raise ConfigError(f"The pattern {self.pattern!r} of a split is no regular expression: {exc}.") from None

    @cached_property
    def _calendar(self) -> str:
        return calendar_of(self.calendar)

    @cached_property
    def _spans(self) -> dict[str, tuple[float, float]]:
        """Start and end of each period, seconds."""
        return {name: self._span(name, ends) for name, ends in self.periods.items()}

    def _span(self, name: str, ends: Sequence[str | int | None]) -> tuple[float, float]:
        if isinstance(ends, str) or len(ends) != 2:  # noqa: PLR2004 - first and last
            raise ConfigError(f"The period of the split {name!r} must be its first and its last date, not {ends!r}.")
        first, last = ends
        start = -math.inf if first is None else span(str(first), self._calendar)[0]
        end = math.inf if last is None else span(str(last), self._calendar)[1]
        if start >= end:
            raise ConfigError(f"The period of the split {name!r} ends before it starts.")
        return start, end

    @property
    def names(self) -> list[str]:
        return sorted(self.periods)

    def time(self, key: str) -> float:
        """Time of the item with this key, seconds in the calendar.

        Raises
        ------
        ConfigError
            It has none.
        """
        found = list(self._finder.finditer(key))
        if not found:
            raise ConfigError(
                f"The split by time finds no time in the key {key!r}: give a pattern that matches every key, or make "
                "items of steps."
            )
        parts = found[-1].groupdict()
        return instant({part: parts.get(part) for part in PARTS}, self._calendar, key)

    def split(self, key: str) -> str:
        start = self.time(key)
        end = start + seconds_of(self.duration)
        for name, (first, last) in self._spans.items():
            if first <= start < last and end <= last:
                return name if end + seconds_of(self.gap) <= self._next_start(first) else ""
        return ""

    def _next_start(self, first: float) -> float:
        """Start of the period after the one that starts there."""
        return min((start for start, _ in self._spans.values() if start > first), default=math.inf)
