"""A failure as text, whatever the exception is: without secrets, of bounded size, and such that UTF-8 can hold it."""

from __future__ import annotations

import traceback
from contextlib import suppress

from curator_core.interruption import is_interruption
from curator_core.printable import shortened

MAX_ERROR = 4_000
"""Characters of an error that are kept."""
MAX_TRACEBACK = 40_000
"""Characters of a traceback that are kept."""


def describe(error: BaseException) -> str:
    """``"ErrorType: message"``; the type alone where the exception has no text."""
    try:
        text = str(error)
    except BaseException as exc:  # its own __str__ is at fault
        if is_interruption(exc):
            raise
        text = f"(its text cannot be had: __str__ raises {type(exc).__name__})"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def traceback_of(error: BaseException) -> str:
    """The formatted traceback; the description where it cannot be formatted."""
    try:
        return "".join(traceback.format_exception(error))
    except BaseException as exc:  # text, notes or causes of the user's exception are at fault
        if is_interruption(exc):
            raise
        where = "".join(traceback.format_tb(object.__getattribute__(error, "__traceback__")))
        return f"{where}{describe(error)}\n(the rest cannot be formatted: {type(exc).__name__})\n"


def annotate(error: BaseException, note: str) -> None:
    """Add a note to an exception, if its class lets anybody do so: what a note says is recorded elsewhere, too."""
    with suppress(Exception):  # notes, or the access to attributes, may be the class's own
        error.add_note(note)


def shown(value: object, limit: int = 200) -> str:
    """`value` as code, of bounded size; its type where it cannot be shown."""
    try:
        return shortened(repr(value), limit)
    except BaseException as exc:  # its own __repr__ is at fault
        if is_interruption(exc):
            raise
        return f"<{type(value).__name__}, whose repr raises {type(exc).__name__}>"
