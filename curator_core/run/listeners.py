"""Listeners: objects that a run notifies of every result, in the coordinator."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from curator_core.engine.failure import describe
from curator_core.errors import ConfigError
from curator_core.records import IndexResult, Item
from curator_core.run.signals import interrupt

logger = logging.getLogger("curator")

_METHODS = ("begin", "take", "end")


@dataclass(frozen=True, slots=True)
class RunSummary:
    """How a run ended."""

    n_items: int
    """Items that were asked for."""
    n_completed: int
    """Those that this run processed, and that did not fail."""
    failures: Mapping[int, str]
    """``"ErrorType: message"`` by index of those that failed."""
    n_up_to_date: int
    """Those that were complete already."""
    seconds: float
    """Duration of the run."""
    error: BaseException | None = None
    """What ended the run before all items were processed: a `KeyboardInterrupt`, a full disk, …"""


@runtime_checkable
class Listener(Protocol):
    """Gets the results of a run, see `run_pipeline(listeners=[…])`; derive from it, and override what is needed.

    All calls come from the coordinator, one at a time, and keep it from handing out work. A result is recorded before
    `take` gets it. An exception is logged, and stops neither the run nor another listener; `KeyboardInterrupt` ends the
    run as Ctrl-C does, `SystemExit` at once.
    """

    def begin(self, items: Sequence[Item]) -> None:
        """The run begins, with these items due; called again if some have to be processed once more."""
        return

    def take(self, result: IndexResult) -> None:
        """An item is done, or failed."""
        return

    def end(self, summary: RunSummary) -> None:
        """The run has ended, in whatever way, and everything is recorded; outputs are gathered afterwards."""
        return


class Listeners:
    """The listeners of a run: none harms another, or the run.

    Parameters
    ----------
    listeners
        As `run_pipeline` was given them.

    Raises
    ------
    ConfigError
        One of them lacks a method of `Listener`.
    """

    def __init__(self, listeners: Sequence[Listener]) -> None:
        self._listeners = _checked(listeners)
        self._outcomes: dict[int, str | None] = {}
        self._n_due: int | None = None
        self._n_errors: Counter[str] = Counter()
        self._is_ending = False

    def __len__(self) -> int:
        return len(self._listeners)

    def begin(self, items: Sequence[Item]) -> None:
        """The run begins."""
        if self._n_due is None:
            self._n_due = len(items)
        self._notify("begin", items, "at the begin of the run")

    def take(self, result: IndexResult) -> None:
        """An item is done, or failed."""
        self._outcomes[result.index] = None if result.is_completed else result.error or "failed"
        self._notify("take", result, f"for item {result.key!r}")

    @contextmanager
    def notified_of_end(self, n_items: int) -> Iterator[None]:
        """Run of that many items; listeners that were notified of its begin are notified of its end."""
        clock = time.monotonic()
        error: BaseException | None = None
        try:
            yield
        except BaseException as exc:
            error = exc
            raise
        finally:
            if self._n_due is not None:
                self._end(n_items - self._n_due, n_items, time.monotonic() - clock, error)

    def _end(self, n_up_to_date: int, n_items: int, seconds: float, error: BaseException | None) -> None:
        failures = {index: text for index, text in self._outcomes.items() if text is not None}
        n_completed = len(self._outcomes) - len(failures)
        summary = RunSummary(n_items, n_completed, failures, n_up_to_date, seconds, error)
        self._notify("end", summary, "at the end of the run")
        for name, n_errors in self._n_errors.items():
            if n_errors > 1:
                logger.error("listener %s raised an exception %d times", name, n_errors)

    def _notify(self, method: str, argument: Any, when: str) -> None:  # noqa: ANN401 - what the method takes
        ending: BaseException | None = None
        for listener in self._listeners:
            try:
                getattr(listener, method)(argument)
            except (KeyboardInterrupt, SystemExit) as exc:
                ending = exc
            except Exception as exc:  # noqa: BLE001 - somebody else's code; the result is recorded
                self._log(listener, method, when, exc)
        if ending is not None and not self._is_ending:
            self._is_ending = True  # what is complete by now comes still, and is not to be interrupted again
            if isinstance(ending, SystemExit):
                raise ending
            interrupt()

    def _log(self, listener: Listener, method: str, when: str, error: Exception) -> None:
        name = type(listener).__name__
        self._n_errors[name] += 1
        if self._n_errors[name] == 1:
            text = "%s of listener %s raised %s, %s; the run continues, and all results are recorded"
            logger.error(text, f"{method}()", name, describe(error), when, exc_info=error)


def _checked(listeners: object) -> tuple[Listener, ...]:
    if not isinstance(listeners, list | tuple):
        raise ConfigError(f"listeners must be a list of Listener objects, not {type(listeners).__name__}.")
    for listener in listeners:
        lacks = [name for name in _METHODS if not callable(getattr(listener, name, None))]
        if lacks or isinstance(listener, type):
            problem = (
                "is a class, not an object" if isinstance(listener, type) else f"has no {'() and no '.join(lacks)}()"
            )
            raise ConfigError(
                f"The listener {listener!r} {problem}. Derive its class from curator_core.Listener, and override "
                "what is needed."
            )
    return tuple(listeners)
