"""Small notes on an instance, by topic."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dagster import DagsterInstance

_PREFIX = "curator/"


def read_notes(instance: DagsterInstance, topic: str) -> dict[str, Any]:
    """Notes of a topic by name; none where something else stands there.

    Publicly an instance keeps nothing for others; its run storage has a table of keys and values, for cursors.
    """
    key = _PREFIX + topic
    try:
        found = json.loads(instance.run_storage.get_cursor_values({key}).get(key, "{}"))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def write_notes(instance: DagsterInstance, topic: str, notes: Mapping[str, Any]) -> None:
    """Replace the notes of a topic."""
    instance.run_storage.set_cursor_values({_PREFIX + topic: json.dumps(notes)})
