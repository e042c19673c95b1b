"""Serialized events in fewer bytes."""

from __future__ import annotations

import json
from typing import Any

_FILLED_IN = {"asset_lineage", "description", "logging_tags", "message", "metadata_entries", "partitions_subset"}
"""Fields that Dagster's classes fill in with nothing when they are missing."""


def compact(text: str) -> str:
    """What Dagster's serializer gave for an event, without blanks and without what its classes fill in themselves.

    Publicly there is one form of a serialized event. Whoever uses this one asks Dagster whether it reads the same.
    """
    return json.dumps(_without_filled_in(json.loads(text)), separators=(",", ":"))


def _without_filled_in(value: Any) -> Any:  # noqa: ANN401 - anything that JSON can hold
    if isinstance(value, list):
        return [_without_filled_in(member) for member in value]
    if not isinstance(value, dict):
        return value
    kind = value.get("__class__")
    return {name: _without_filled_in(v) for name, v in value.items() if kind is None or not _is_filled_in(name, v)}


def _is_filled_in(name: str, value: object) -> bool:
    return (name in _FILLED_IN and not value) or name == "step_handle"  # which is made of the node's
