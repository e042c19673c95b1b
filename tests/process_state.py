"""What a test may change of its process, and how it is put back: no test sees what another one did.

The process has state of its own (environment, working directory, import paths, signal handlers, log levels), and the
packages have some at the top of their modules.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from copy import copy
from pathlib import Path
from typing import Any

RESTORED = {
    "curator_core.engine.logcapture": ("_busy",),
    "curator_core.redaction": ("_known",),
    "curator_core.run.workers.settings": ("_given_levels",),
    "curator_core.session.former_formats": ("_passed_over",),
    "curator_core.storage.locations": ("_kinds",),
    "curator_core.storage.objects.stores": ("_given",),
    "curator_dagster.executors.choice": ("_made",),
}
"""Containers by module; each has after a test what it had before."""

REGISTRIES = {
    "curator_core.pipeline.registry": ("components",),
    "curator_core.reading.opening": ("openers",),
    "curator_core.run.base": ("backends",),
}
"""Names that are registered, or were found in what is installed."""

WARNED = {
    "curator_core.run.progress.notebook": ("_hint",),
    "curator_core.store.connection": ("_warn_of_network",),
}
"""Functions that say something once in a process; in a test, once in the test."""

OF_ONE_PLACE = {
    "curator_core.domains.atoms.ase_lmdb.metadata": ("_natoms",),  # by path and time
    "curator_core.domains.atoms.ase_lmdb.pages": ("_check",),  # by path, inode, size and time
    "curator_core.domains.atoms.ase_lmdb.rows": ("_open", "_lock"),  # by inode, while it is open
    "curator_core.domains.grid.grib.datasets": ("_lock",),
    "curator_core.domains.grid.netcdf.files": ("_left_open", "_lock"),  # by inode, of files that HDF5 keeps open
    "curator_core.domains.mesh.beside": ("_rows",),  # by path, time and size
    "curator_core.domains.mesh.fenced.calling": ("_is_beside",),  # in a process beside another one
    "curator_core.domains.mesh.fenced.process": ("_idle", "_processes"),  # processes that read what they are asked
    "curator_core.experiments.stored.claims": ("_known",),  # by folder
    "curator_core.experiments.stored.foreign_lock": ("_held",),  # by folder, while it is held
    "curator_core.pipeline.current": ("PROCESSED",),  # for the time of an item
    "curator_core.pipeline.queries": ("_making",),
    "curator_core.datasets.workers": ("_workers",),  # for the time of a publication
    "curator_core.run.backends.loky": ("_setup_files",),  # of a worker process
    "curator_core.run.due": ("_is_gathered_later",),  # for the time of a run
    "curator_core.run.progress.terminal": ("_one_at_a_time",),
    "curator_core.run.signals": ("_state",),  # for the time of a run
    "curator_core.run.workers.worker": ("_here", "_setups", "_workers"),  # by run
    "curator_core.session.claims": ("_held",),  # by folder, while it is held
    "curator_core.session.records": ("_choosing",),
    "curator_core.session.returning": ("_journals", "_worker_ids", "_guard"),  # by process and run
    "curator_core.storage.locks": ("_held",),  # by open file
    "curator_core.storage.objects.forked": ("_users",),  # by process
    "curator_core.store.journal": ("_open_journals",),  # by open file
}
"""State of what only one test has (a folder, a run, an open file, a moment), and locks."""

CONSTANT = {
    "curator_core.datasets.parts": ("_layout", "_places"),
    "curator_core.datasets.segments": ("_true_files",),
    "curator_core.domains.atoms.layout": ("load_schema", "array_name", "array_key"),
    "curator_core.filters.conversion": ("_registry", "_unit", "_dimensions", "_offset"),
    "curator_core.formats.shard_files": ("_zstd",),
    "curator_core.formats.zarr_metadata": ("_data_type",),
    "curator_core.interruption": ("_marking",),  # filled in as modules are imported
    "curator_core.moved": ("_FORMER_NAMES", "_NEW_NAMES"),  # likewise
    "curator_core.pipeline.annotations": ("_known",),  # by function
    "curator_core.pipeline.calls": ("_known",),  # by function
    "curator_core.pipeline.params": ("_described",),
    "curator_core.storage.input_files": ("_unwanted",),
    "curator_core.store.checked": ("_allowed",),
    "curator_dagster.component.templates": ("_strict",),
    "curator_dagster.__init__": ("_home_of",),
    "curator_dagster.curation.launch": ("NO_CONFIG",),
    "curator_dagster.definitions": ("_forkserver_executor",),
    "curator_dagster.demo_definitions": ("defs",),
    "curator_dagster.grid_demo_definitions": ("defs",),
    "curator_dagster.mesh_demo_definitions": ("defs",),
}
"""The same whenever it is asked for."""

_TESTS = Path(__file__).parent
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGALRM, signal.SIGCHLD)


@contextmanager
def restored(temporary: Path) -> Iterator[None]:
    """Put back at the end what was changed within.

    Parameters
    ----------
    temporary
        Folder of all tests' files: modules that were imported from there, or from beside a test, are forgotten, since
        another test's may have the same name, or read something else when it is imported.
    """
    with ExitStack() as stack:
        for part in (_environment, _folder, _signals, _logging, _state_of_packages, _definitions):
            stack.enter_context(part())
        stack.enter_context(_imports(temporary))
        yield


@contextmanager
def _environment() -> Iterator[None]:
    before = dict(os.environ)
    yield
    for name in os.environ.keys() - before.keys():
        del os.environ[name]
    os.environ.update({name: value for name, value in before.items() if os.environ.get(name) != value})


@contextmanager
def _folder() -> Iterator[None]:
    folder, mask = Path.cwd(), os.umask(0o77)
    os.umask(mask)
    yield
    os.chdir(folder)
    os.umask(mask)


@contextmanager
def _signals() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    yield
    for number, handler in before.items():
        if handler is not None and signal.getsignal(number) is not handler:
            signal.signal(number, handler)


@contextmanager
def _logging() -> Iterator[None]:
    """Of the root logger and curator's; the handlers that pytest gives the root logger are its own."""
    disabled = logging.root.manager.disable
    before = {name: (logger.level, logger.propagate, logger.handlers[:]) for name, logger in _loggers()}
    yield
    logging.disable(disabled)
    for name, logger in _loggers():
        level, propagates, handlers = before.get(name, (logging.NOTSET, True, []))
        if logger.level != level:
            logger.setLevel(level)
        logger.propagate = propagates
        for handler in logger.handlers[:]:
            if handler not in handlers and not type(handler).__module__.startswith("_pytest."):
                logger.removeHandler(handler)


def _loggers() -> Iterator[tuple[str, logging.Logger]]:
    yield "", logging.getLogger()
    for name, logger in list(logging.root.manager.loggerDict.items()):
        if name.startswith("curator") and isinstance(logger, logging.Logger):
            yield name, logger


@contextmanager
def _imports(temporary: Path) -> Iterator[None]:
    paths, modules = sys.path[:], set(sys.modules)
    yield
    if sys.path != paths:
        sys.path[:] = paths
    for name in sys.modules.keys() - modules:
        file = getattr(sys.modules[name], "__file__", None)
        if file and name.partition(".")[0] != "tests" and any(map(Path(file).is_relative_to, (temporary, _TESTS))):
            del sys.modules[name]


@contextmanager
def _state_of_packages() -> Iterator[None]:
    """Of a module that is imported within, containers are emptied."""
    before = {place: copy(container) for place, container in _found(RESTORED)}
    names = {place: _names(registry) for place, registry in _found(REGISTRIES)}
    yield
    for place, container in _found(RESTORED):
        _refill(container, before.get(place, ()))
    for place, registry in _found(REGISTRIES):
        if place in names:
            vars(registry).update(names[place])
    for _, warned in _found(WARNED):
        warned.cache_clear()


@contextmanager
def _definitions() -> Iterator[None]:
    """Dagster keeps the job it made last by its module's name, which locations of several tests have."""
    yield
    if found := sys.modules.get("dagster._core.definitions.reconstruct"):
        found.ReconstructableJob.get_definition.cache_clear()
        found.ReconstructableJob.get_repository_definition.cache_clear()


def _found(named: dict[str, tuple[str, ...]]) -> Iterator[tuple[str, Any]]:
    """What of it is loaded, with its place."""
    for module, names in named.items():
        if module in sys.modules:
            for name in names:
                yield f"{module}.{name}", getattr(sys.modules[module], name)


def _refill(container: Any, content: Any) -> None:
    if container != content:
        container.clear()
        getattr(container, "extend" if isinstance(container, list) else "update")(content)


def _names(registry: Any) -> dict[str, Any]:
    return {name: copy(value) for name, value in vars(registry).items() if name in {"_classes", "_found", "_clashes"}}
