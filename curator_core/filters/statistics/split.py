"""Which split of a dataset an item belongs to: decided by its key alone."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from types import MappingProxyType

from curator_core.errors import ConfigError

DEFAULT_FRACTIONS: Mapping[str, float] = MappingProxyType({"train": 0.8, "validation": 0.1, "test": 0.1})
"""Splits and their parts of the items."""


def split_of(key: str, fractions: Mapping[str, float] = DEFAULT_FRACTIONS, seed: int = 0) -> str:
    """The split of the item with this key.

    It depends on nothing else: not on other items, their order or number, nor on where it is computed.
    The fractions hold for many items on average, not exactly.

    Parameters
    ----------
    key
        Key of the item.
    fractions
        Name of each split and its part of the items; none negative, in all 1. Their order is of no
        account.
    seed
        Another seed gives another division.

    Raises
    ------
    ConfigError
        The fractions are no such parts.

    Notes
    -----
    The first 8 bytes of the SHA-256 of ``f"{seed}:{key}"`` in UTF-8, as a big-endian integer over 2**64,
    are a number in [0, 1). The splits divide that range among them in the alphabetical order of their
    names.
    """
    check_fractions(fractions)
    digest = hashlib.sha256(f"{seed}:{key}".encode()).digest()
    position = int.from_bytes(digest[:8], "big") / 2**64
    names = sorted(name for name, fraction in fractions.items() if fraction > 0)
    for number, name in enumerate(names[:-1], start=1):
        if position < math.fsum(fractions[before] for before in names[:number]):
            return name
    return names[-1]


def check_fractions(fractions: Mapping[str, float]) -> None:
    """Refuse fractions that do not divide a whole.

    Raises
    ------
    ConfigError
        One is negative or no number, or they do not sum to 1.
    """
    if any(fraction < 0 for fraction in fractions.values()) or not math.isclose(math.fsum(fractions.values()), 1.0):
        raise ConfigError(f"fractions must be at least 0 each and 1 in all, got {dict(fractions)!r}.")
