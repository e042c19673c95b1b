"""A limit on the time of one index, kept by the process that works on it."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Self

from curator_core.errors import ConfigError, ItemTimeoutError

REPEAT_S = 1.0
"""A component that swallows the interruption is interrupted again after this time, seconds."""


_LONGEST_S = 3e7
"""A year, which no item takes: what is longer, infinity included, the system's timers cannot hold."""


class Deadline:
    """Interrupts this process's main thread when the block inside takes longer than allowed.

    Python code and system calls are interrupted at once (``SIGALRM``, see setitimer(2)), a C function when it
    returns. The timer belongs to the process: use one at a time.

    Parameters
    ----------
    seconds
        The limit; ``None`` for no limit, at no cost.

    Raises
    ------
    ConfigError
        The limit is no positive number, or cannot be kept in this thread.
    """

    def __init__(self, seconds: float | None) -> None:
        self._seconds = checked_timeout(seconds)
        if seconds is not None and threading.current_thread() is not threading.main_thread():
            raise ConfigError("timeout= is kept in main threads only: leave it out, or use backend='process_pool'.")

    def __enter__(self) -> Self:
        if self._seconds is not None:
            self._before = signal.signal(signal.SIGALRM, self._interrupt)
            signal.setitimer(signal.ITIMER_REAL, self._seconds, REPEAT_S)
        return self

    def __exit__(self, *_: object) -> None:
        if self._seconds is not None:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, self._before)

    def _interrupt(self, _signal: int, _frame: FrameType | None) -> None:
        raise ItemTimeoutError.of(self._seconds or 0.0)


def checked_timeout(seconds: object) -> float | None:
    """A time limit, seconds.

    Raises
    ------
    ConfigError
        It is no positive number.
    """
    if seconds is None:
        return None
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not seconds > 0:
        raise ConfigError(f"timeout must be a positive number of seconds per index, not {seconds!r}.")
    return min(float(seconds), _LONGEST_S)
