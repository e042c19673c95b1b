"""What a backend of another package hands over, checked before anything of it is recorded."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Generator, Iterable
from dataclasses import replace
from typing import Any

from curator_core.engine.failure import MAX_ERROR, MAX_TRACEBACK, shown
from curator_core.errors import ConfigError, CuratorError, PipelineStateError
from curator_core.printable import shortened
from curator_core.records import IndexResult, Item, position
from curator_core.run.base import RunBackend

logger = logging.getLogger("curator")

_OWN = ("curator_core", "curator_dagster")
_MEASURES = ("wall_time_ns", "peak_memory_bytes", "gpu_memory_bytes")
_MAX_INTEGER = 2**63
"""Integers of the database are smaller."""


def is_own(backend: RunBackend) -> bool:
    """Whether a backend comes with curator, so that its results are known to be sound."""
    return type(backend).__module__.partition(".")[0] in _OWN


def as_generator(backend: RunBackend, produced: object) -> Generator[Any, None, None]:
    """What `stream` returned, as a generator.

    Raises
    ------
    PipelineStateError
        It cannot be iterated.
    """
    if isinstance(produced, Generator):
        return produced
    if not isinstance(produced, Iterable):
        raise PipelineStateError(
            f"Backend {backend.name!r} returned {shown(produced)}; stream() must yield the result of every index."
        )
    return (result for result in produced)


def ended_badly(backend: RunBackend, error: Exception) -> Exception:
    """What to raise when a backend raised `error`: its own, or one that names the backend."""
    if isinstance(error, CuratorError) or is_own(backend):
        return error
    return PipelineStateError(
        f"Backend {backend.name!r} stopped the run: {shown(error)}. What was complete is recorded; resume=True goes on."
    )


def accepted(backend: RunBackend, given: object, item_of: Callable[[int], Item | None]) -> IndexResult | None:
    """A result that a backend yielded; a failure where it is not sound, ``None`` where it belongs to no item."""
    index = _index(given)
    item = None if index is None else item_of(index)
    if not isinstance(given, IndexResult) or index is None or item is None:
        what = f"a result of index {index}" if isinstance(given, IndexResult) else shown(given)
        logger.warning("backend %r yielded %s, which belongs to no item; it was left out", backend.name, what)
        return None
    problem = _problem(given, item)
    if problem is not None:
        text = f"ComponentError: backend {backend.name!r} gave an unsound result for item {item.key!r}: {problem}"
        return IndexResult(index, item.key, "error", item.fingerprint, error=text, completed_at=given.completed_at)
    return replace(
        given,
        index=index,
        output_paths=tuple(os.fspath(path) for path in given.output_paths),
        error=None if given.is_completed else _storable(given.error or "failed", MAX_ERROR),
        traceback=None if given.traceback is None else _storable(given.traceback, MAX_TRACEBACK),
    )


def _index(given: object) -> int | None:
    try:
        return position(getattr(given, "index", None))
    except ConfigError:
        return None


def _problem(result: IndexResult, item: Item) -> str | None:
    """What is wrong with a result, in words."""
    if result.status not in ("completed", "error"):
        return f"its status is {shown(result.status)}, neither 'completed' nor 'error'"
    if (result.key, result.fingerprint) != (item.key, item.fingerprint):
        return f"it is of key {shown(result.key)} and fingerprint {shown(result.fingerprint)}"
    for name in _MEASURES:
        value = getattr(result, name)
        if value is not None and not (type(value) is int and abs(value) < _MAX_INTEGER):
            return f"its {name} is {shown(value)}"
    return _problem_of_paths(result.output_paths)


def _problem_of_paths(paths: object) -> str | None:
    if not isinstance(paths, list | tuple):
        return f"its output_paths are {shown(paths)}"
    for path in paths:
        text = os.fspath(path) if isinstance(path, str | os.PathLike) else None
        if not isinstance(text, str) or text != text.encode(errors="replace").decode():
            return f"{shown(path)} among its output_paths is no path that UTF-8 can hold"
        if "://" not in text and not os.path.lexists(text):
            return f"there is nothing at {text!r}"
    return None


def _storable(text: object, limit: int) -> str:
    return shortened(str(text).encode(errors="backslashreplace").decode(), limit)


def checked_paths(backend: RunBackend, returned: object, n_items: int) -> list[list[str]]:
    """What `run` of a simple backend returned.

    Raises
    ------
    PipelineStateError
        It is not one list of paths for each item.
    """
    who = f"Backend {backend.name!r}"
    if not isinstance(returned, list | tuple):
        raise PipelineStateError(
            f"{who} returned {shown(returned)}; run() must return one list of paths for each of config.indices."
        )
    if len(returned) != n_items:
        raise PipelineStateError(f"{who} returned {len(returned)} lists of paths for {n_items} indices.")
    for paths in returned:
        if not isinstance(paths, list | tuple) or not all(isinstance(path, str | os.PathLike) for path in paths):
            raise PipelineStateError(f"{who} returned {shown(paths)} for an index; it must be the list of its paths.")
    return [[os.fspath(path) for path in paths] for paths in returned]
