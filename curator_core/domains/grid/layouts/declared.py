"""Layouts that are declared: lead times and members, each of which has its slots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from curator_core.datasets.aligned.axis import InnerAxis
from curator_core.domains.grid.times import duration
from curator_core.errors import ConfigError

Layout = Literal["forecast", "time"]
Leads = Mapping[str, str] | Sequence[str]

INIT: Final = "init_time"
LEAD: Final = "lead_time"
MEMBER: Final = "number"
VALID: Final = "valid_time"
SECOND: Final = 1_000_000
"""Microseconds."""
_MAX_LEADS: Final = 10_000


@dataclass(frozen=True)
class Arrangement:
    """How the datasets of items lie along the slots.

    Raises
    ------
    ConfigError
        There is no such layout, or its lead times or members are none.
    """

    layout: str | None
    """``forecast``: a slot for every reference time and lead time; ``time``: for every valid time."""
    leads: tuple[int, ...] = ()
    """Lead times in seconds; none where a range says them."""
    lead_range: tuple[int, int] | None = None
    """First and last lead time of ``time``, in seconds."""
    members: tuple[int, ...] = ()
    """Numbers of the members, where each has its slots."""
    takes_shortest: bool = False
    """Whether the shortest lead time gives a valid time of which an item has several."""

    @property
    def inner(self) -> tuple[InnerAxis, ...]:
        """Dimensions within that of the slots."""
        found = []
        if self.layout == "forecast":
            about = {"units": "seconds", "standard_name": "forecast_period"}
            found.append(InnerAxis(LEAD, self.leads, about, VALID))
        if self.members:
            found.append(InnerAxis(MEMBER, self.members, {"standard_name": "realization"}))
        return tuple(found)

    @property
    def slot(self) -> str | None:
        """The dimension of the slots, where the layout says it."""
        return {"forecast": INIT, "time": "time"}.get(self.layout or "")

    def require_slot(self, declared: str | None) -> None:
        """Raise `ConfigError` where another dimension of the slots is declared than the layout has."""
        if self.slot is not None and declared not in (None, self.slot):
            raise ConfigError(f"the axis of layout={self.layout!r} is {self.slot!r}, not {declared!r}.")

    def require_times(self, *, is_keyed: bool) -> None:
        """Raise `ConfigError` where lead times or members are declared, and every item has one slot."""
        if is_keyed and not self.is_plain:
            raise ConfigError("layout= and members= have slots of times, and axes= slots of items: leave one out.")

    @property
    def is_plain(self) -> bool:
        """Whether datasets lie along the slots as they are."""
        return self.layout is None and not self.members


def arrangement(
    layout: str | None, leads: Leads | None, members: Sequence[int] | str | None, *, takes_shortest: bool
) -> Arrangement:
    """The arrangement that arguments of the sink declare.

    Raises
    ------
    ConfigError
        They declare none.
    """
    if layout not in (None, "forecast", "time"):
        raise ConfigError(f"layout must be 'forecast' or 'time', not {layout!r}.")
    if (leads is None) is not (layout is None):
        raise ConfigError(
            "layout='forecast' and layout='time' need leads, and nothing else does: as in {'start': '0h', "
            "'end': '240h', 'frequency': '6h'}."
        )
    found, span = ((), None) if leads is None else _leads(leads, is_time=layout == "time")
    return Arrangement(layout, found, span, _members(members), takes_shortest)


def _leads(given: Leads, *, is_time: bool) -> tuple[tuple[int, ...], tuple[int, int] | None]:
    if not isinstance(given, Mapping):
        found = tuple(_seconds(text) for text in given)
        if not found or list(found) != sorted(set(found)):
            raise ConfigError(f"leads must be different ones, and rise: not {list(given)!r}.")
        return found, None
    if unknown := given.keys() - {"start", "end", "frequency"}:
        raise ConfigError(f"leads has {min(unknown)!r}; it takes start, end and frequency.")
    if "end" not in given or not (is_time or "frequency" in given):
        raise ConfigError(f"leads needs an end{'' if is_time else ', and a frequency'}: {dict(given)!r}.")
    start, end = _seconds(given.get("start", "0h")), _seconds(given["end"])
    if "frequency" not in given:
        return (), (start, end)
    step = _seconds(given["frequency"])
    if step < 1 or end < start or (end - start) // step >= _MAX_LEADS:
        raise ConfigError(f"leads has no lead times, or more than {_MAX_LEADS:,}: {dict(given)!r}.")
    return tuple(range(start, end + 1, step)), None


def _seconds(text: Any) -> int:  # noqa: ANN401 - of a file
    try:
        return duration(str(text)) // SECOND
    except ValueError as exc:
        raise ConfigError(f"leads: {exc}.") from None


def _members(given: Sequence[int] | str | None) -> tuple[int, ...]:
    if given is None:
        return ()
    if isinstance(given, str):
        first, _, last = given.partition("-")
        if not (first.isdigit() and last.isdigit() and int(first) <= int(last)):
            raise ConfigError(f"members must be numbers, or a range such as '0-50', not {given!r}.")
        return tuple(range(int(first), int(last) + 1))
    if not given or any(type(number) is not int for number in given) or list(given) != sorted(set(given)):
        raise ConfigError(f"members must be different whole numbers, and rise: not {list(given)!r}.")
    return tuple(given)
