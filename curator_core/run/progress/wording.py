"""Rates, times and remaining times as people say them."""

from __future__ import annotations

from curator_core.run.progress.eta import Forecast

_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_CLOSE, _VAGUE = 1.3, 10
_UNITS = ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "min"), (1, "s"))


def span(seconds: float) -> str:
    """A time: ``0.4 s``, ``12 s``, ``3 min 20 s``, ``2 h 05 min``, ``3 d 4 h``."""
    if seconds < 10:  # noqa: PLR2004 - one digit says too little
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE:02d} s"
    if whole < 2 * _DAY:
        return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE:02d} min"
    return f"{whole // _DAY} d {whole % _DAY // _HOUR} h"


def rough(seconds: float) -> str:
    """A time in one unit, two where the number is small: ``40 s``, ``5 min``, ``1.5 h``."""
    unit, name = next(((size, name) for size, name in _UNITS if seconds >= 1.5 * size), _UNITS[-1])
    n = max(seconds / unit, 1)
    if unit == 1 and n > 20:  # noqa: PLR2004 - single seconds are no longer meant
        n = 5 * round(n / 5)
    return f"{n:.1f} {name}" if n < 3 and unit > _MINUTE else f"{n:.0f} {name}"  # noqa: PLR2004 - halves of hours, days


def rate(per_second: float) -> str:
    """Items per second, or per minute or hour where that is a small number."""
    if per_second == 0:
        return "0/s"
    units = ((1, "s"), (_MINUTE, "min"), (_HOUR, "h"))
    seconds, name = next((unit for unit in units if per_second * unit[0] >= 1), units[-1])
    n = per_second * seconds
    return f"{n:,.0f}/{name}" if n >= 10 else f"{n:.1f}/{name}"  # noqa: PLR2004 - two digits


def time_left(forecast: Forecast) -> str:
    """``~5 min left``, ``3–8 min left``, ``over 5 min left``; empty before enough is known."""
    low_s, high_s = forecast.low_s, forecast.high_s
    if low_s is None:
        return ""
    if high_s is None or high_s > _VAGUE * low_s:
        return f"over {rough(low_s)} left"
    if high_s <= _CLOSE * low_s or rough(low_s) == rough(high_s):
        return f"~{rough((low_s * high_s) ** 0.5)} left"
    (low, low_unit), (high, high_unit) = rough(low_s).split(), rough(high_s).split()
    return f"{low}–{high} {high_unit} left" if low_unit == high_unit else f"{low} {low_unit} – {high} {high_unit} left"


def stall(forecast: Forecast) -> str:
    """``no item finished for 3 min``; empty while there is nothing unusual."""
    return "" if forecast.stalled_s is None else f"no item finished for {rough(forecast.stalled_s)}"
