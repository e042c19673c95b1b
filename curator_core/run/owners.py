"""Which item wrote which path: two that name one are told, since the one has overwritten the other."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

from curator_core.components import ShardedSink, Sink
from curator_core.errors import ComponentError
from curator_core.listing import Listing
from curator_core.records import IndexResult


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
    listing
        The source's listing, for the keys in messages.
    """

    def __init__(self, sink: Sink[Any], listing: Listing) -> None:
        has_groups = getattr(type(sink), "partition_indices", None) is not Sink.partition_indices
        self._is_watched = not (sink.appends or has_groups or isinstance(sink, ShardedSink))
        self._name = sink.component_name()
        self._listing = listing
        self._owners: dict[str, int] = {}

    def begin(
        self, recorded: Sequence[Sequence[str] | None], is_due: Sequence[int], passed_on: Collection[str]
    ) -> None:
        """Start from what is recorded of the items that are not due, apart from paths that may change hands."""
        if self._is_watched:
            self._owners = {
                _as_one(path): index
                for index, paths in enumerate(recorded)
                if paths and not is_due[index]
                for path in paths
                if path not in passed_on
            }

    def checked(self, result: IndexResult) -> IndexResult:
        """The result, or a failed one where another item has returned one of its paths."""
        if self._is_watched:
            for path in result.output_paths:
                owner = self._owners.setdefault(_as_one(path), result.index)
                if owner != result.index:
                    return self._failed(result, path, owner)
        return result

    def _failed(self, result: IndexResult, path: str, owner: int) -> IndexResult:
        error = ComponentError(
            f"{self._name} returned {path!r} for {result.key!r} and for {self._listing.keys[owner]!r}: the one has "
            "overwritten the other. Name files by index or key, or, where items add to one file on purpose, set "
            "`appends = True` in the sink.",
            component=self._name,
            key=result.key,
            file=path,
        )
        text = f"{type(error).__name__}: {error}"
        return replace(
            result,
            status="error",
            output_paths=(),
            written=(),
            artifacts=(),
            error=text,
            traceback=None,
            exception=error,
        )
