"""Times and sizes as people read them."""

from __future__ import annotations

_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86400.0


def duration(seconds: float) -> str:
    """A time: ``0.35 ms``, ``12.3 s``, ``3 min 20 s``, ``2 h 05 min``, ``3 d 4 h``."""
    if seconds < 1:
        return f"{seconds * 1e3:.3g} ms"
    if seconds < _MINUTE:
        return f"{seconds:.3g} s"
    minutes, rest_s = divmod(round(seconds), 60)
    hours, rest_min = divmod(minutes, 60)
    if seconds < _HOUR:
        return f"{minutes} min {rest_s:02d} s"
    return f"{hours} h {rest_min:02d} min" if seconds < 2 * _DAY else f"{hours // 24} d {hours % 24} h"


def time_unit(longest_s: float) -> tuple[float, str]:
    """Unit of an axis that ends at `longest_s`: its length in seconds and its name."""
    if longest_s < 1:
        return 1e-3, "ms"
    units = ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "min"))
    return next((unit for unit in units if longest_s >= 2 * unit[0]), (1.0, "s"))


def size(n_bytes: float) -> str:
    """Bytes in KiB, MiB or GiB."""
    for unit, name in ((2**30, "GiB"), (2**20, "MiB")):
        if n_bytes >= unit:
            return f"{n_bytes / unit:.3g} {name}" if n_bytes < 1000 * unit else f"{n_bytes / unit:,.0f} {name}"
    return f"{n_bytes / 1024:.3g} KiB"


def rate(per_second: float) -> str:
    """Items per second, or per minute or hour where that is a small number."""
    units = ((1.0, "s"), (_MINUTE, "min"), (_HOUR, "h"))
    seconds, name = next((unit for unit in units if per_second * unit[0] >= 1), units[-1])
    n = per_second * seconds
    return f"{n:,.0f} / {name}" if n >= 100 else f"{n:.3g} / {name}"  # noqa: PLR2004 - three digits


def shortened(text: str, n_characters: int) -> str:
    """`text`, its middle left out where it is longer than `n_characters`."""
    if len(text) <= n_characters:
        return text
    half = n_characters // 2
    return f"{text[:half]} … {text[-half:]}"
