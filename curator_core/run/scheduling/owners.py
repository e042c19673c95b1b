"""Which item wrote which path: of two that name one, the second has overwritten the first, and fails."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence
from typing import Any

from curator_core.pipeline.components import Sink
from curator_core.records import IndexResult
from curator_core.session.overwriting import overwriting, shares_no_files


def _as_one(path: str) -> str:
    """The one spelling of a path, however it is written."""
    if "/." not in path and "//" not in path and path[:2] != "./":
        return path
    found = os.path.normpath(path)
    return found[1:] if found.startswith("//") else found  # which POSIX lets mean something else


class PathOwners:
    """Keeps the item of every path that a sink returned, and fails the second item of a path.

    A sink whose items share files on purpose is not watched: it has `appends`, or groups of indices.

    Parameters
    ----------
    sink
        The sink.
    key_of
        Key of an item by its index, for messages.
    """

    def __init__(self, sink: Sink[Any], key_of: Callable[[int], str]) -> None:
        self._is_watched = shares_no_files(sink)
        self._name = sink.component_name()
        self._key_of = key_of
        self._owners: dict[str, int] = {}

    def begin(self, recorded: Sequence[Sequence[str] | None], passed_on: Collection[str]) -> None:
        """Start from the recorded paths of items that are not due, apart from paths that may change hands."""
        if self._is_watched:
            self._owners = {
                _as_one(path): index
                for index, paths in enumerate(recorded)
                for path in paths or ()
                if path not in passed_on
            }

    def checked(self, result: IndexResult) -> IndexResult:
        """The result, or a failed one where another item has returned one of its paths."""
        if self._is_watched:
            for path in result.output_paths:
                owner = self._owners.setdefault(_as_one(path), result.index)
                if owner != result.index:
                    return overwriting(result, self._name, path, self._key_of(owner))
        return result
