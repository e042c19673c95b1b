"""Whether a `KeyboardInterrupt` is a signal's, which ends the run, or one that an item's own code raised."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType

_MARK = "raised_by_curators_handler"
_marking: set[Callable[[int, FrameType | None], None]] = set()


def marks_interruptions(handler: Callable[[int, FrameType | None], None]) -> Callable[[int, FrameType | None], None]:
    """Make it known that a signal handler raises what `interruption` makes, and nothing else."""
    _marking.add(handler)
    return handler


def interruption() -> KeyboardInterrupt:
    """What a signal handler raises."""
    error = KeyboardInterrupt()
    vars(error)[_MARK] = True
    return error


def is_interruption(error: BaseException) -> bool:
    """Whether a signal raised it, or may have, as far as that can be known.

    Of handlers of others it is unknown. Signals raise in the main thread alone.
    """
    if not isinstance(error, KeyboardInterrupt):
        return False
    if _MARK in vars(error):
        return True
    if threading.current_thread() is not threading.main_thread():
        return False
    handler = signal.getsignal(signal.SIGINT)
    return not (handler in (signal.SIG_IGN, signal.SIG_DFL) or handler in _marking)
