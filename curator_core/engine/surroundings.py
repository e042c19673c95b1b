"""What all items of a process share, and one of them may change: found after it, put back, and reported by its name."""

from __future__ import annotations

import decimal
import logging
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable
from typing import Any

_handler: Callable[[int], Any] = getattr(signal.getsignal, "__wrapped__", signal.getsignal)
"""`signal.getsignal` without its enumeration, which takes 2 µs."""


class Surroundings:
    """The process as a worker's first item finds it.

    Watched: the working directory, the file mode mask, standard output and error, the recursion limit, the level of
    `logging.disable`, warnings that became errors, the handlers of SIGINT and SIGTERM, precision and rounding of
    `decimal`, entries of ``sys.path`` that are gone; where threads share the process, the directory alone. Not watched:
    environment variables and what else libraries set for good when they are first used.
    """

    def __init__(self) -> None:
        self.folder = _folder()
        self._is_alone = threading.current_thread() is threading.main_thread()
        self._umask = os.umask(0o77)
        os.umask(self._umask)
        self._stdout, self._stderr = sys.stdout, sys.stderr
        self._recursion_limit = sys.getrecursionlimit()
        self._disabled_below = logging.root.manager.disable
        self._warnings = warnings.filters
        self._first_warning = warnings.filters[0] if warnings.filters else None
        self._decimal = decimal.getcontext()
        self._precision, self._rounding = self._decimal.prec, self._decimal.rounding
        self._import_paths = list(sys.path)
        self._on_interrupt, self._on_end = _handler(signal.SIGINT), _handler(signal.SIGTERM)

    def has_moved(self) -> str | None:
        """Where the working directory is now, if an item changed it, which is undone; else ``None``."""
        if self.folder is None:
            return None
        now = _folder()
        if now == self.folder:
            return None
        try:
            os.chdir(self.folder)
        except OSError:  # an item, or somebody else, removed it: there is nothing to go back to
            self.folder = None
        return now or "a folder that is gone"

    def restored(self) -> list[str]:
        """What else an item changed, all put back, in words."""
        if not self._is_alone:  # another thread may have changed it, for as long as its item takes
            return []
        filters = warnings.filters
        numbers = decimal.getcontext()
        mask = os.umask(self._umask)
        if (
            mask == self._umask
            and sys.stdout is self._stdout
            and sys.stderr is self._stderr
            and sys.getrecursionlimit() >= self._recursion_limit  # libraries may raise it for good
            and logging.root.manager.disable == self._disabled_below
            and filters is self._warnings
            and (not filters or filters[0] is self._first_warning)
            and numbers is self._decimal
            and numbers.prec == self._precision
            and numbers.rounding == self._rounding
            and sys.path == self._import_paths
            and _handler(signal.SIGINT) is self._on_interrupt
            and _handler(signal.SIGTERM) is self._on_end
        ):
            return []
        return [*([] if mask == self._umask else ["the file mode mask (umask)"]), *self._put_back()]

    def _put_back(self) -> list[str]:
        changed = self._without_errors()
        if sys.stdout is not self._stdout or sys.stderr is not self._stderr:
            sys.stdout, sys.stderr = self._stdout, self._stderr
            changed.append("sys.stdout or sys.stderr")
        if sys.getrecursionlimit() < self._recursion_limit:
            sys.setrecursionlimit(self._recursion_limit)
            changed.append("the recursion limit")
        if logging.root.manager.disable != self._disabled_below:
            logging.disable(self._disabled_below)
            changed.append("logging.disable()")
        if self._restore_decimal():
            changed.append("the context of decimal")
        if self._restore_import_paths():
            changed.append("sys.path")
        for number, handler in ((signal.SIGINT, self._on_interrupt), (signal.SIGTERM, self._on_end)):
            if _handler(number) is not handler and handler is not None:
                signal.signal(number, handler)
                changed.append(f"the handler of {number.name}")
        return changed

    def _restore_decimal(self) -> bool:
        now = decimal.getcontext()
        is_changed = (now.prec, now.rounding) != (self._precision, self._rounding)
        if now is not self._decimal:
            decimal.setcontext(self._decimal)
        self._decimal.prec, self._decimal.rounding = self._precision, self._rounding
        return is_changed

    def _restore_import_paths(self) -> bool:
        """Put back what is missing; components may add where their modules are, for good."""
        missing = [path for path in self._import_paths if path not in sys.path]
        if missing:
            sys.path[:] = [*self._import_paths, *(path for path in sys.path if path not in self._import_paths)]
        self._import_paths = list(sys.path)
        return bool(missing)

    def _without_errors(self) -> list[str]:
        """Undo ``warnings.simplefilter("error")``; other filters may come from modules that were just imported."""
        now = list(warnings.filters)
        known = now.index(self._first_warning) if self._first_warning in now else len(now)
        new_errors = [entry for entry in now[:known] if entry[0] == "error"]
        if new_errors:
            warnings.filters[:] = [entry for entry in now if entry not in new_errors]  # type: ignore[index]
            _forget_warnings()
        self._warnings = warnings.filters
        self._first_warning = warnings.filters[0] if warnings.filters else None
        return ["warnings into errors"] if new_errors else []


def _forget_warnings() -> None:
    """Let the warnings module notice that its filters were changed."""
    mutated: Callable[[], None] | None = getattr(warnings, "_filters_mutated", None)
    if mutated is not None:
        mutated()


def _folder() -> str | None:
    try:
        return os.getcwd()  # noqa: PTH109 - asked for every item
    except OSError:
        return None
