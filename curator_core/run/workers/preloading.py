"""What the server that forks workers has loaded, so that each of them need not."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

from curator_core.pipeline.pipeline import Pipeline

_OWN = "curator_core."
_WORKER = "curator_core.run.workers.worker"


def modules_of(pipeline: Pipeline[Any]) -> list[str]:
    """Modules of the components of a pipeline that are curator's own.

    Those of its user are left to the workers: they may change between two runs of a notebook.
    """
    components = (pipeline.source, *pipeline.filters, pipeline.sink)
    return sorted({name for name in (type(one).__module__ for one in components) if name.startswith(_OWN)})


def start_fork_server(modules: Sequence[str]) -> None:
    """Start the fork server of this process with modules loaded, unless it is there.

    What its user has it load is kept. One that dies is started again by `multiprocessing`, without them.
    """
    server: Any = forkserver._forkserver  # noqa: SLF001 - the module has no function that tells
    if getattr(server, "_forkserver_pid", None) is not None:
        return
    others = list(getattr(server, "_preload_modules", ["__main__"]))
    forkserver.set_forkserver_preload([*others, _WORKER, *modules])
    try:
        with _inherited_import_paths():
            forkserver.ensure_running()
    finally:
        forkserver.set_forkserver_preload(others)


@contextmanager
def _inherited_import_paths() -> Iterator[None]:
    """A new interpreter finds modules where this one does, and not in the working directory before."""
    paths = [str(path) if path else str(Path.cwd()) for path in sys.path]
    given = {"PYTHONPATH": os.pathsep.join(paths), "PYTHONSAFEPATH": "1"}
    before = {name: os.environ.get(name) for name in given}
    os.environ.update(given)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
