"""Sizes of memory and time limits, as sbatch takes them."""

from __future__ import annotations

import math
import operator
import re
from datetime import timedelta

from curator_core.errors import ConfigError

_MEMORY = re.compile("([0-9]{1,15})(?:([KMGT])B?)?", re.IGNORECASE)
_TIME = re.compile(
    "[0-9]{1,9}|[0-9]{1,9}(:[0-9]{1,9}){1,2}|[0-9]{1,9}-[0-9]{1,9}(:[0-9]{1,9}){0,2}|UNLIMITED|INFINITE", re.IGNORECASE
)
_MIB = {"K": 1 / 1024, "M": 1, "G": 1024, "T": 1024**2}


def memory_of(given: object, where: str) -> str:
    """A size of memory: ``"4G"`` for ``"4GB"``, ``"4g"``; a number is one of MiB.

    Raises
    ------
    ConfigError
        It is none; `where` names it.
    """
    if (number := whole(given)) is not None:
        return str(number)
    match = _MEMORY.fullmatch(given.strip(" ")) if isinstance(given, str) else None
    if match is None:
        raise ConfigError(
            f"{where}={given!r} is nothing that sbatch takes: write a whole number of MiB, or one with K, M, G or T, "
            "such as 4G or 1500M."
        )
    return match[1] + (match[2] or "").upper()


def mib_of(memory: str) -> float:
    """MiB of a size that `memory_of` gave."""
    unit = memory[-1] if memory[-1] in _MIB else "M"
    return int(memory.rstrip("KMGT")) * _MIB[unit]


def time_of(given: object, where: str) -> str:
    """A time limit; a number is one of minutes, and a part of a second is a whole one.

    Raises
    ------
    ConfigError
        It is none; `where` names it.
    """
    if (number := whole(given)) is not None:
        return str(number)
    if isinstance(given, timedelta) and given > timedelta(0):
        minutes, seconds = divmod(math.ceil(given.total_seconds()), 60)
        days, hours = divmod(minutes // 60, 24)
        return (
            f"{days}-{hours:02}:{minutes % 60:02}:{seconds:02}"
            if days
            else f"{hours:02}:{minutes % 60:02}:{seconds:02}"
        )
    text = given.strip(" ") if isinstance(given, str) else ""
    if not _TIME.fullmatch(text):
        raise ConfigError(
            f"{where}={given!r} is nothing that sbatch takes: write minutes, hours:minutes:seconds or "
            "days-hours:minutes:seconds, or give a timedelta."
        )
    return text


def whole(given: object) -> int | None:
    """A number from 0, of Python or NumPy."""
    try:
        number = -1 if isinstance(given, bool) else operator.index(given)  # type: ignore[arg-type] # that is asked here
    except TypeError:
        return None
    return number if number >= 0 else None
