"""SIGINT and SIGTERM stop a run cleanly: they raise where it waits or computes, never while it keeps its books."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from curator_core.interruption import interruption, marks_interruptions


class _State:
    """Whether a signal must wait, and whether one does; the main thread's, where signals arrive."""

    is_held = False
    is_pending = False


_state = _State()


@contextmanager
def interruptible_run() -> Iterator[None]:
    """Within, SIGINT and SIGTERM raise `KeyboardInterrupt`, at once or where `signals_deferred` ends.

    A SIGINT handler of somebody else, or one that ignores, stays: it is the owner's to decide. Without effect
    outside the main thread.
    """
    if not _is_main():
        yield
        return
    numbers = [signal.SIGTERM]
    if signal.getsignal(signal.SIGINT) in (signal.default_int_handler, _interrupt):
        numbers.append(signal.SIGINT)
    held_before = _state.is_held
    before = {number: signal.signal(number, _interrupt) for number in numbers}
    try:
        yield
    finally:
        _state.is_held = held_before
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        if not held_before:
            was_pending, _state.is_pending = _state.is_pending, False
    if not held_before and was_pending:
        raise interruption()


def defer_signals() -> None:
    """Defer signals until the end of the `interruptible_run`, `signals_deferred` or `signals_delivered` around it."""
    if _is_main():
        _state.is_held = True


def interrupt() -> None:
    """Interrupt the run as a signal does: at once, or where `signals_deferred` ends."""
    if not _is_main():  # where no signal arrives
        raise interruption()
    _state.is_pending = True
    _raise_pending()


class _Switch:
    """Sets whether signals wait, and puts back what was."""

    def __init__(self, *, is_held: bool) -> None:
        self._is_held = is_held
        self._before: bool | None = None

    def __enter__(self) -> None:
        if _is_main():
            self._before = _state.is_held
            _state.is_held = self._is_held
            _raise_pending()

    def __exit__(self, exc_type: type[BaseException] | None, *_details: object) -> None:
        if self._before is not None:
            _state.is_held = self._before
            if exc_type is None:
                _raise_pending()


def signals_deferred() -> _Switch:
    """Within, a signal waits, for what must not be left half-done."""
    return _Switch(is_held=True)


def signals_delivered() -> _Switch:
    """Within, a signal raises at once, for a wait inside `signals_deferred`."""
    return _Switch(is_held=False)


def _is_main() -> bool:
    return threading.current_thread() is threading.main_thread()


@marks_interruptions
def _interrupt(_number: int, _frame: FrameType | None) -> None:
    _state.is_pending = True
    _raise_pending()


def _raise_pending() -> None:
    if _state.is_pending and not _state.is_held:
        _state.is_pending = False
        raise interruption()
