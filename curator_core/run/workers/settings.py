"""What a worker process takes over from its coordinator, whenever it, or the server that forks it, was started."""

from __future__ import annotations

import logging
import os
import random
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

_OF_THE_WORKER = ("OMP_", "OPENBLAS_", "MKL_", "BLIS_", "VECLIB_", "NUMBA_", "NUMEXPR_", "KMP_", "ENABLE_IPC", "LOKY_")
"""Beginnings of variables that joblib, or a library in the worker, sets for the worker alone."""

_OF_DASK = ("distributed", "dask", "tornado", "bokeh")

_given_levels: set[str] = set()


@dataclass(frozen=True)
class ProcessSettings:
    """Working directory, environment, import paths and log levels of a process."""

    folder: str | None
    """Working directory; ``None`` where it is gone."""
    environment: dict[str, str]
    """Environment variables."""
    import_paths: tuple[str, ...]
    """Where modules are looked for."""
    log_levels: dict[str, int]
    """Levels of loggers that have one of their own, by name; that of the root logger under ``""``."""
    disabled_below: int
    """Level of `logging.disable`."""

    @classmethod
    def of_this_process(cls) -> Self:
        """The settings as they are now."""
        return cls(_folder(), dict(os.environ), tuple(sys.path), _levels(), logging.root.manager.disable)

    def apply(self) -> None:
        """Give them to this process."""
        if self.folder is not None and _folder() != self.folder:
            os.chdir(self.folder)
        gone = [name for name in os.environ if name not in self.environment and not name.startswith(_OF_THE_WORKER)]
        for name in gone:
            del os.environ[name]
        for name, value in self.environment.items():
            if os.environ.get(name) != value:
                os.environ[name] = value
        sys.path.extend(path for path in self.import_paths if path not in sys.path)
        self.apply_log_levels()

    def apply_log_levels(self) -> None:
        """Log from these levels on, in place of those of an earlier run."""
        for name in _given_levels - set(self.log_levels):
            logging.getLogger(name).setLevel(logging.NOTSET)
        _given_levels.update(self.log_levels)
        _log_from(self.log_levels, self.disabled_below)


@dataclass(frozen=True)
class LogLevels:
    """Log levels of a process alone, for workers that are somebody else's: who may not be given an environment."""

    levels: dict[str, int]
    """By name of the logger, that of the root logger under ``""``; 0 for one that has none of its own."""
    disabled_below: int
    """Level of `logging.disable`."""

    @classmethod
    def of_this_process(cls) -> Self:
        """The levels as they are now, apart from those of dask itself."""
        levels = {name: level for name, level in _levels().items() if not name.startswith(_OF_DASK)}
        return cls(levels, logging.root.manager.disable)

    def apply(self) -> LogLevels:
        """Log from these levels on in this process; gives what they were, to go back to."""
        before = {name: logging.getLogger(name or None).level for name in self.levels}
        disabled = logging.root.manager.disable
        _log_from(self.levels, self.disabled_below)
        return LogLevels(before, disabled)


def _levels() -> dict[str, int]:
    """Levels of the loggers that have one of their own, and of the root logger."""
    loggers = logging.root.manager.loggerDict.items()
    levels = {name: known.level for name, known in list(loggers) if isinstance(known, logging.Logger)}
    return {name: level for name, level in levels.items() if level} | {"": logging.root.level}


def _log_from(levels: Mapping[str, int], disabled_below: int) -> None:
    for name, level in levels.items():
        logging.getLogger(name or None).setLevel(level)
    logging.disable(disabled_below)


def _folder() -> str | None:
    try:
        return os.getcwd()  # noqa: PTH109 - as text
    except FileNotFoundError:
        return None


def reseed() -> None:
    """Fresh states for the global random generators: forked workers have inherited one and the same."""
    random.seed()
    numpy: Any = sys.modules.get("numpy.random")
    if numpy is not None:
        numpy.seed()
    torch: Any = sys.modules.get("torch")
    if torch is not None:
        torch.default_generator.seed()
