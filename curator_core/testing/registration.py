"""Names of components and backends for the time of a test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from curator_core.pipeline.component import Component
from curator_core.pipeline.registry import components, register_component
from curator_core.run.base import RunBackend, backends, register_backend


@contextmanager
def registered(*classes: type[Component | RunBackend]) -> Iterator[None]:
    """Register classes for the time of a test; what is registered within is forgotten, too.

    Parameters
    ----------
    *classes
        Components and backends, which have a `name`.

    Examples
    --------
    >>> from curator_core import list_backends
    >>> from curator_core.run.backends.sequential import SequentialBackend
    >>> class Mine(SequentialBackend):
    ...     name = "mine"
    >>> with registered(Mine):
    ...     "mine" in list_backends()
    True
    >>> "mine" in list_backends()
    False
    """
    with components.restored(), backends.restored():
        for cls in classes:
            if issubclass(cls, RunBackend):
                register_backend(cls)
            else:
                register_component(cls)
        yield
