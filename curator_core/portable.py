"""Exceptions on their way between processes: a user's class may not survive pickling, here or there."""

from __future__ import annotations

import pickle
from typing import Self

from curator_core.errors import ComponentError

MAX_BYTES = 100_000
"""An exception that is larger when pickled goes as its text, bytes."""


class Packed:
    """An exception as bytes, which becomes one again where it is unpickled.

    Parameters
    ----------
    content
        The exception, pickled; empty where that was not possible.
    text
        What to say where it cannot be had: ``"ErrorType: message"``.
    key
        Key of the item that failed.
    """

    __slots__ = ("content", "key", "text")

    def __init__(self, content: bytes, text: str, key: str) -> None:
        self.content = content
        self.text = text
        self.key = key

    @classmethod
    def of(cls, exception: BaseException, text: str, key: str) -> Self:
        """Pack an exception."""
        content = _pickled(exception)
        return cls(content if len(content) <= MAX_BYTES else b"", text, key)

    def __reduce__(self) -> tuple[object, ...]:
        return unpacked, (self.content, self.text, self.key)


def _pickled(exception: BaseException) -> bytes:
    import cloudpickle  # noqa: PLC0415 - for failures alone

    for dumps in (pickle.dumps, cloudpickle.dumps):  # the second takes classes of the user's own script
        try:
            return bytes(dumps(exception))
        except BaseException:  # noqa: BLE001, S112 - the user's class; its text and traceback are in the result
            continue
    return b""


def unpacked(content: bytes, text: str, key: str) -> BaseException:
    """The exception; a `ComponentError` of the same text where this process cannot rebuild it."""
    if content:
        try:
            found = pickle.loads(content)  # noqa: S301 - packed by a worker of ours
        except BaseException:  # noqa: BLE001 - the user's class, or a module that is not here
            found = None
        if isinstance(found, BaseException):
            return found
    return ComponentError(text, key=key)
