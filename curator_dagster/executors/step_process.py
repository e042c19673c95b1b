"""One step of a Dagster run in a process of its own, on a worker of a dask cluster.

The worker itself loads neither Dagster nor the user's code: a fork server has Dagster loaded, and each step
is forked from it. So a step starts within milliseconds, sees the code as it is now, may crash without harm
to the worker, and can be stopped.
"""

from __future__ import annotations

import runpy
import sys
import traceback
from collections.abc import Sequence
from multiprocessing import connection, current_process, get_context
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from typing import TYPE_CHECKING

from curator_core.errors import WorkerDiedError
from curator_core.run import exit_with_parent

if TYPE_CHECKING:
    from dask.typing import Key
    from distributed import Worker

PRELOAD = ["dagster._cli", "curator_dagster.definitions", __name__]
"""What the fork server has loaded; nothing that its user edits."""
GRACE_S = 5.0
"""Time that a stopped step has to say so in the event log."""
_LOOK_S = 0.2


def run_step(arguments: Sequence[str]) -> None:
    """Run one step, on a thread of a dask worker.

    Parameters
    ----------
    arguments
        Of Dagster's command line.

    Raises
    ------
    WorkerDiedError
        The step's process ended without having said to Dagster how the step did.
    """
    from distributed import get_worker  # noqa: PLC0415 - the step's process loads this module too

    worker = get_worker()
    key = worker.get_current_task()
    process, errors = _start(arguments)
    # Dask cannot interrupt a thread, nor tell it that nobody wants its task any more.
    while not connection.wait([process.sentinel], _LOOK_S):
        if not _is_wanted(worker, key):  # the run was terminated, or its process died
            _stop(process)
        elif worker.status.name in {"closing", "closed"}:
            process.kill()  # as if the worker had been: an interrupted step would not be tried again
    process.join()
    if process.exitcode:
        raise WorkerDiedError(f"its process ended with exit status {process.exitcode}. {_received(errors)}")


def _start(arguments: Sequence[str]) -> tuple[ForkServerProcess, Connection]:
    # Workers with a nanny are daemons, which multiprocessing does not allow children of their own.
    current_process().daemon = False
    context = get_context("forkserver")
    context.set_forkserver_preload(PRELOAD)
    errors, sender = context.Pipe(duplex=False)
    process = context.Process(target=_execute, args=(list(arguments), sender), daemon=True)
    process.start()
    sender.close()
    return process, errors


def _execute(arguments: list[str], errors: Connection) -> None:
    current_process().daemon = False  # the step may start processes
    exit_with_parent()
    sys.argv = ["dagster", *arguments]
    try:
        runpy.run_module("dagster", run_name="__main__", alter_sys=True)
    except Exception:
        errors.send(traceback.format_exc())
        raise


def _is_wanted(worker: Worker, key: Key) -> bool:
    task = worker.state.tasks.get(key)
    return task is not None and task.state == "executing"


def _stop(process: ForkServerProcess) -> None:
    process.terminate()
    process.join(GRACE_S)
    if process.is_alive():
        process.kill()


def _received(errors: Connection) -> str:
    try:
        return str(errors.recv())
    except EOFError:  # it was killed, or ended in another way
        return ""
