"""Names that Dagster keeps for itself."""

from __future__ import annotations

from dagster._core.definitions.utils import DISALLOWED_NAMES


def is_reserved(name: str) -> bool:
    """Whether no op may have this name; publicly only the error says so."""
    return name in DISALLOWED_NAMES
