"""Who encodes segments while a dataset is published, whichever domain's it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from curator_core.pipeline.pipeline import Pipeline

Encode = Callable[["Pipeline[Any]", Path], None]
"""Processes all items of a pipeline, and may leave files of its own in a folder."""


@dataclass(frozen=True, slots=True)
class Workers:
    """Who encodes segments."""

    folder: Path
    """Where they leave them."""
    encode: Encode | None
    """Hands a pipeline to them; ``None`` where there are none."""


_workers: ContextVar[Workers | None] = ContextVar("_workers", default=None)


def current_workers() -> Workers | None:
    """Who encodes segments here; ``None`` outside `encoding_in`."""
    return _workers.get()


@contextmanager
def encoding_in(folder: Path, encode: Encode | None) -> Iterator[None]:
    """Within, publishing hands segments that are to be encoded to workers, where there are many.

    Parameters
    ----------
    folder
        Where they leave them: on the file system of the parts. It is removed when all of it is in the dataset.
    encode
        Hands a pipeline to them; ``None`` takes what is there, and encodes nothing.
    """
    token = _workers.set(Workers(folder, encode))
    try:
        yield
    finally:
        _workers.reset(token)
