"""Small notes on an instance, by topic."""

from __future__ import annotations

import json
import zlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dagster import DagsterInstance

_PREFIX = "curator/"
_N_SLOTS = 64
"""Notes lie in so many places: who leaves one writes over no other that is left at the same moment."""


def read_notes(instance: DagsterInstance, topic: str) -> dict[str, Any]:
    """Notes of a topic by name; none where something else stands there.

    Publicly an instance keeps nothing for others; its run storage has a table of keys and values, for cursors.
    """
    found = instance.run_storage.get_cursor_values(_places(topic))
    return {name: note for text in found.values() for name, note in _notes(text).items()}


def write_note(instance: DagsterInstance, topic: str, name: str, note: object) -> None:
    """Leave a note, or replace that of the same name."""
    place = f"{_PREFIX}{topic}#{zlib.crc32(name.encode()) % _N_SLOTS}"
    kept = _notes(instance.run_storage.get_cursor_values({place}).get(place, ""))
    instance.run_storage.set_cursor_values({place: json.dumps(kept | {name: note})})


def forget_notes(instance: DagsterInstance, topic: str) -> None:
    """Remove all notes of a topic."""
    left = instance.run_storage.get_cursor_values(_places(topic))
    if left:
        instance.run_storage.set_cursor_values(dict.fromkeys(left, "{}"))


def _places(topic: str) -> set[str]:
    return {_PREFIX + topic} | {f"{_PREFIX}{topic}#{slot}" for slot in range(_N_SLOTS)}


def _notes(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
