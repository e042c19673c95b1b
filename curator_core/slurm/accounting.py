"""What a cluster's accounting says of an array's tasks."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from curator_core.slurm.commands import ArrayState, SlurmError, run_command, state_of

TIMEOUT_S = 60.0
"""How long accounting may take to answer, seconds: it is a database of all users."""

_FIELDS = ("JobID", "State", "TotalCPU", "MaxRSS", "ElapsedRaw", "AllocCPUS")
_TASK = re.compile(r"\d+_(\d+)(\..*)?")  # 12_3, and its steps, such as 12_3.batch; not 12_[4-9], which never began
_CPU_TIME = re.compile(r"(?:(?:(\d+)-)?(\d+):)?(\d+):(\d+(?:\.\d+)?)")  # sacct(1), TotalCPU
_SIZE = re.compile(r"(\d+(?:\.\d+)?)([KMGTP]?)")
_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40, "P": 2**50}


@dataclass(frozen=True, slots=True)
class TaskUsage:
    """What one task of an array used; ``None`` is what was not measured."""

    state: ArrayState
    """How it ended, or that it has not."""
    elapsed_s: float | None
    """How long it had its CPUs, seconds."""
    n_cpus: int | None
    """CPUs it had."""
    cpu_s: float | None
    """CPU time it used, seconds."""
    peak_memory_bytes: int | None
    """Largest memory of any of its steps."""


def array_usage(job_id: str) -> dict[int, TaskUsage] | None:
    """What the tasks of an array that began have used, asked for at once; ``None`` where nobody keeps accounts.

    Accounts come a moment after a task's end.

    Raises
    ------
    SlurmError
        The accounting does not answer.
    """
    options = ("--noheader", "--parsable2", "--noconvert", f"--format={','.join(_FIELDS)}")
    try:
        said = run_command("sacct", f"--jobs={job_id}", *options, timeout_s=TIMEOUT_S)
    except SlurmError as exc:
        if "accounting storage is disabled" in str(exc).lower():
            return None
        raise
    return read_accounts(said.splitlines())


def read_accounts(lines: Iterable[str]) -> dict[int, TaskUsage]:
    """Tasks of what ``sacct --parsable2`` prints: a line for each, then one for each of its steps.

    Raises
    ------
    SlurmError
        A line has other columns than were asked for.
    """
    found: dict[int, TaskUsage] = {}
    for line in lines:
        values = line.split("|")
        if len(values) != len(_FIELDS):
            raise SlurmError(f"sacct answers {line!r}, where {','.join(_FIELDS)} were asked for.")
        job, state, cpu_time, memory, elapsed, n_cpus = values
        match = _TASK.fullmatch(job)
        if match is None:
            continue
        task, step = int(match[1]), match[2]
        if step is None:
            found[task] = TaskUsage(state_of(state), _number(elapsed), _number(n_cpus), _seconds(cpu_time), None)
        elif task in found:
            peaks = [peak for peak in (found[task].peak_memory_bytes, _bytes(memory)) if peak is not None]
            found[task] = replace(found[task], peak_memory_bytes=max(peaks, default=None))
    return found


def _number(text: str) -> int | None:
    return int(text) if text.isdecimal() else None


def _seconds(text: str) -> float | None:
    match = _CPU_TIME.fullmatch(text)
    if match is None:
        return None
    days, hours, minutes, seconds = (float(part or 0) for part in match.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds


def _bytes(text: str) -> int | None:
    match = _SIZE.fullmatch(text)
    return None if match is None else int(float(match[1]) * _UNITS[match[2]])
