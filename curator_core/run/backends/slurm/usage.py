"""What the tasks of finished arrays used, from the cluster's accounting."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Iterator

from curator_core.records import WorkerUsage
from curator_core.run.backends.slurm.array import ArrayFolder
from curator_core.run.signals import signals_delivered
from curator_core.slurm import SlurmError, array_usage

FIRST_PAUSE_S = 0.5
PATIENCE_S = 20.0
"""How long the accounts of the last tasks are waited for, seconds."""

logger = logging.getLogger("curator")


def usage_of(arrays: Iterable[ArrayFolder]) -> list[WorkerUsage]:
    """What is known; nothing, with a warning, where the accounting does not answer."""
    try:
        return [usage for array in arrays for usage in _usage(array)]
    except SlurmError as exc:
        logger.warning("CPU time and memory of the SLURM tasks are not known: %s", exc)
        return []


def _usage(array: ArrayFolder) -> Iterator[WorkerUsage]:
    """Of every task that began; each is a worker of the run."""
    presences = {task: array.presence(task) for task in range(len(array.tasks))}
    workers = {task: presence for task, presence in presences.items() if presence is not None}
    job_id, pause, pause_s = array.job_id, threading.Event(), FIRST_PAUSE_S
    deadline = time.monotonic() + PATIENCE_S
    if job_id is None or not workers:
        return
    while (found := array_usage(job_id)) is not None:
        over = {task: found[task] for task in workers if task in found and found[task].state.is_over}
        if len(over) == len(workers) or time.monotonic() + pause_s > deadline:
            break
        with signals_delivered():
            pause.wait(pause_s)
        pause_s *= 2
    for task, used in over.items() if found is not None else ():
        yield WorkerUsage(
            worker_id=workers[task].worker_id,
            pid=workers[task].pid,
            host=workers[task].host,
            job=f"{job_id}_{task}",
            job_state=used.state.value,
            elapsed_s=used.elapsed_s,
            n_cpus=used.n_cpus,
            cpu_s=used.cpu_s,
            peak_memory_bytes=used.peak_memory_bytes,
        )
