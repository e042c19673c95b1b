"""Functions that are called in the process beside this one: a library that crashes fails one item."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

import numpy as np

from curator_core.domains.mesh.fenced.process import ReaderError, read_fenced
from curator_core.filters.values.fields import Array, FieldError

T = TypeVar("T")
logger = logging.getLogger("curator")
_is_beside: ContextVar[bool] = ContextVar("_is_beside", default=False)
"""Whether this is the process beside another one."""


def call_fenced(function: Callable[..., T], *arguments: object) -> T:
    """What a function gives in the process beside this one; what it logs is logged here.

    Parameters
    ----------
    function
        A function of a module.
    arguments
        What can be pickled; arrays are handed over as they are, and those that it gives back are those that it got.

    Raises
    ------
    FieldError
        It ends that process.
    """
    if _is_beside.get():
        return function(*arguments)
    content, buffers = _pickled((function, arguments))
    try:
        answer = read_fenced(f"{__name__}:called", {}, [content, *buffers], does="works on it")
    except ReaderError as exc:
        raise FieldError(str(exc)) from None
    for level, text in answer.about["log"]:
        logger.log(level, "%s", text)
    result, *own = answer.arrays
    new = iter(own)
    given = [next(new) if place is None else buffers[place] for place in answer.about["places"]]
    is_done, found = pickle.loads(result.data, buffers=given)  # noqa: S301 - of our own process
    if not is_done:
        raise found
    made: T = found
    return made


def called(arrays: list[Array]) -> tuple[Any, list[Array], list[str]]:
    """Call a function for another process."""
    _is_beside.set(True)
    content, *buffers = arrays
    function, arguments = pickle.loads(content.data, buffers=buffers)  # noqa: S301 - as above
    with _recorded() as log:
        try:
            found = (True, function(*arguments))
        except Exception as exc:  # noqa: BLE001 - raised in the other process
            found = (False, exc)
    result, made = _pickled(found)
    known = {_extent(buffer): place for place, buffer in enumerate(buffers) if buffer.nbytes}
    places = [known.get(_extent(buffer)) for buffer in made]
    own = [buffer for buffer, place in zip(made, places, strict=True) if place is None]
    return {"log": log, "places": places}, [result, *own], []


def _pickled(value: object) -> tuple[Array, list[Array]]:
    """A value as bytes, and the memory of the arrays in it, which is not copied."""
    buffers: list[pickle.PickleBuffer] = []
    content = pickle.dumps(value, protocol=5, buffer_callback=buffers.append)
    return np.frombuffer(content, np.uint8), [_bytes_of(buffer.raw()) for buffer in buffers]


def _bytes_of(memory: memoryview) -> Array:
    return np.frombuffer(memory, np.uint8) if memory.nbytes else np.empty(0, np.uint8)


def _extent(buffer: Array) -> tuple[int, int]:
    return buffer.__array_interface__["data"][0], buffer.nbytes


@contextmanager
def _recorded() -> Iterator[list[tuple[int, str]]]:
    """What is logged within."""
    found: list[tuple[int, str]] = []
    handler = logging.Handler()
    handler.emit = lambda record: found.append((record.levelno, record.getMessage()))  # type: ignore[method-assign]
    logger.addHandler(handler)
    try:
        yield found
    finally:
        logger.removeHandler(handler)
