"""Runs of a curation whose process is gone: a killed one cannot say itself that it ended."""

from __future__ import annotations

import json
import math
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dagster import DagsterInstance, DagsterRun, DagsterRunStatus, OpExecutionContext, RunsFilter

from curator_core.run import exit_with_parent
from curator_dagster._compat.runs import is_started_by_code_server, report_run_dead, run_process
from curator_dagster.curation.failing import FAILED_TAG, NOTHING

CURATION_TAG = "curator/curation"
"""Run tag: name of the curation."""
HOST_TAG = "curator/host"
"""Run tag: where the process of the run is, and of which run: one that is executed again inherits its tags."""
REQUESTED_ON_TAG = "curator/requested_on"
"""Run tag: the host of the code server that requested the run."""

_ALL_PROCESSES = 0xEFFFFFFC
"""Linux: number of the namespace that has all processes of a host."""
CLOCK_TOLERANCE_S = 5.0
"""By how much the system's boot time may be wrong, seconds."""


def tags_of_runs(name: str, tags: Mapping[str, Any] | None) -> dict[str, str]:
    """Tags of the runs of a curation or workflow, as Dagster stores them."""
    own = {tag: value if isinstance(value, str) else json.dumps(value) for tag, value in (tags or {}).items()}
    return own | {CURATION_TAG: name}


def begin_run(context: OpExecutionContext, name: str) -> None:
    """Tag the run, and mark runs of the same name that were killed on this host as failed.

    Until then their partitions would show as in progress. Runs elsewhere are left to the run monitoring of
    Dagster's daemon.
    """
    tag_run(context, name)
    if FAILED_TAG in context.run.tags:
        context.instance.add_run_tags(context.run_id, {FAILED_TAG: NOTHING})
    for run_id in fail_dead_runs(context.instance, name):
        context.log.warning("Run %s was killed; it is marked as failed now. This run goes on where it ended.", run_id)


def tag_run(context: OpExecutionContext, name: str) -> None:
    """Tag a run with what it is of and, if that can be seen from here, with where its process is.

    A step may be executed on another host than its run, where nobody can say whether that lives.
    """
    process = run_process(context.instance, context.run)
    is_here = process is not None and _is_alive(*process)
    context.instance.add_run_tags(
        context.run_id, {CURATION_TAG: name} | ({HOST_TAG: _place(context.run_id)} if is_here else {})
    )


def fail_dead_runs(instance: DagsterInstance, name: str) -> list[str]:
    """Mark the killed runs of one curation as failed; returns their ids."""
    statuses = [DagsterRunStatus.STARTED, DagsterRunStatus.CANCELING]
    dead = []
    for run in instance.get_runs(RunsFilter(tags={CURATION_TAG: name}, statuses=statuses)):
        process = run_process(instance, run) if _is_of_here(run) else None
        if process is not None and not _is_alive(*process):
            host = socket.gethostname()
            report_run_dead(instance, run, f"Its process ({process[0]} on {host}) is gone: it was killed.")
            dead.append(run.run_id)
    return dead


def _is_of_here(run: DagsterRun) -> bool:
    """Whether the process of a run is, or was, among those of this host."""
    if HOST_TAG in run.tags:
        return run.tags[HOST_TAG] == _place(run.run_id)
    # Killed before its first step: the code server that requested a run is its parent, where Dagster launches by that.
    is_child = run.parent_run_id is None and is_started_by_code_server(run)
    return is_child and run.tags.get(REQUESTED_ON_TAG) == this_host()


def exit_with_run(context: OpExecutionContext) -> None:
    """End the process of a step when that of its run dies.

    Where they are the same, it goes on: a run outlives the code server that started it, such as one of an older
    version of the code.
    """
    process = run_process(context.instance, context.run)
    if process is None or process[0] != os.getpid():
        exit_with_parent()


def _place(run_id: str) -> str:
    return f"{this_host()} ({run_id[:8]})"


def this_host() -> str:
    """Name of the host; in a container, of its processes too, which have ids of their own."""
    try:
        namespace = Path("/proc/self/ns/pid").stat().st_ino
    except OSError:  # no Linux
        namespace = _ALL_PROCESSES
    inside = "" if namespace == _ALL_PROCESSES else f"/{namespace}"
    return f"{socket.gethostname()}{inside}"


def _is_alive(pid: int, since: float) -> bool:
    """Whether a process that was there at a time still is; another may have got its id, after a reboot for one."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        pass
    started = _start_time(pid)
    return started is None or started <= since + CLOCK_TOLERANCE_S


def _start_time(pid: int) -> float | None:
    """Seconds since 1970, ``None`` where the system does not say. Linux: proc(5), ``starttime`` and ``btime``."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        (boot,) = (line for line in Path("/proc/stat").read_text(encoding="utf-8").splitlines() if line[:6] == "btime ")
    except OSError:
        return None
    if fields[0] == "Z":  # it ended; nobody asked how
        return math.inf
    return float(boot.split()[1]) + int(fields[19]) / os.sysconf("SC_CLK_TCK")
