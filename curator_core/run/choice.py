"""Which backend a run gets, and with which of its options."""

from __future__ import annotations

import logging
import threading
from contextlib import suppress
from typing import Any

from curator_core.errors import MissingDependencyError, UnknownNameError
from curator_core.run.base import RunBackend, backends, get_backend
from curator_core.run.workers.ability import is_daemonic, live_client

logger = logging.getLogger("curator")


def chosen_backend(name: str, n_workers: int, options: dict[str, Any]) -> tuple[RunBackend, dict[str, Any]]:
    """The backend, and those of the options that it is to have; all of them are checked."""
    if name == "auto":
        name, why = _automatic(n_workers)
        logger.info("backend 'auto' picked %r: %s", name, why)
        checked = "process_pool" if name == "sequential" else name
    else:
        checked = name
    asked = _backend(checked)
    if n_workers > 1 or not _is_needless(asked, options):
        asked.check_options(options)
        return asked, options
    with suppress(MissingDependencyError):  # it will not be used
        asked.check_options(options)
    if checked == name:
        logger.info("one worker: running sequentially instead of with backend %r (see n_jobs)", name)
    loop = _backend("sequential")
    return loop, {name: value for name, value in options.items() if name in (loop.options or ())}


def _is_needless(backend: RunBackend, options: dict[str, Any]) -> bool:
    """Whether one worker of a backend does nothing that a loop does not."""
    if "timeout" in options and threading.current_thread() is not threading.main_thread():
        return False  # a loop can keep it in main threads only
    declared = [backend.declared_option(name) for name in options]
    return backend.loop_with_one_worker and not any(option is not None and option.beyond_loop for option in declared)


def _backend(name: str) -> RunBackend:
    try:
        return get_backend(name)
    except (UnknownNameError, TypeError) as exc:
        if isinstance(exc, TypeError) and isinstance(name, str):  # of the backend's own
            raise
        raise UnknownNameError.of("backend", name, sorted(("auto", *backends.names()))) from None


def _automatic(n_workers: int) -> tuple[str, str]:
    if n_workers == 1:
        return "sequential", "one worker"
    if (client := live_client()) is not None:
        return "dask", f"there is a client, {client!r}"
    if is_daemonic():
        return "thread_pool", f"{n_workers} threads, since a daemonic process may not start others"
    return "process_pool", f"{n_workers} workers on this machine"
