"""Peak memory of the process while one index runs."""

from __future__ import annotations

import resource
import sys
import tracemalloc
from typing import Any, Protocol

from curator_core.errors import ConfigError
from curator_core.records import TrackMemory

_NOISE_KIB = 1024
"""The kernel counts pages per core, and getrusage(2) adds them up less exactly than the status file."""


class MemoryProbe(Protocol):
    """Measures the peak between `start` and `peak_bytes`."""

    def start(self) -> None:
        """Begin a measurement."""

    def peak_bytes(self) -> int | None:
        """Peak since `start`, bytes; ``None`` where it cannot be measured."""

    def close(self) -> None:
        """Release what the probe holds."""


class NoProbe:
    """Measures nothing."""

    def start(self) -> None:
        """Begin a measurement."""

    def peak_bytes(self) -> int | None:
        """Nothing was measured."""
        return None

    def close(self) -> None:
        """Nothing is held."""


class HighWaterMark:
    """Linux: the kernel's peak resident set size, reset for every index (see proc(5), ``clear_refs``).

    Memory of NumPy and C libraries counts. The mark belongs to the process: indices that run in
    threads of one process share it.
    """

    def __init__(self) -> None:
        # Files, not descriptors: one closed by another thread raises, and writes nothing elsewhere.
        self._reset = open("/proc/self/clear_refs", "wb", buffering=0)  # noqa: PTH123, SIM115 - kept open, closed below
        self._status = open("/proc/self/status", "rb", buffering=0)  # noqa: PTH123, SIM115
        self.start()
        # getrusage(2), ten times as fast as the status file, gives the larger of this mark and the peak
        # before the program was started (of what called exec): this many KiB at most, see `peak_bytes`.
        self._earlier_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    def start(self) -> None:
        """Reset the mark to the present size."""
        self._reset.write(b"5")

    def peak_bytes(self) -> int | None:
        """Largest resident set size since `start`."""
        peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        if peak_kib > self._earlier_kib:
            return peak_kib * 1024
        self._status.seek(0)
        status = self._status.read(4096)
        at = status.find(b"VmHWM:")
        if at < 0:
            return None
        mark_kib = int(status[at + 6 : status.index(b"kB", at)])
        if mark_kib > peak_kib - _NOISE_KIB:
            self._earlier_kib = peak_kib - 1  # the earlier one was smaller: from here on getrusage(2) tells the mark
        return mark_kib * 1024

    def close(self) -> None:
        """Close the two files."""
        self._reset.close()
        self._status.close()


class MaximumResidentSize:
    """Other systems: getrusage(2), the peak since the process started (it cannot be reset)."""

    def start(self) -> None:
        """Nothing can be reset."""

    def peak_bytes(self) -> int | None:
        """Largest resident set size of the process so far."""
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024

    def close(self) -> None:
        """Nothing is held."""


class PythonAllocations:
    """`tracemalloc`: Python's own allocations only, at several times the run time."""

    def __init__(self) -> None:
        self._started_here = not tracemalloc.is_tracing()
        if self._started_here:
            tracemalloc.start()

    def start(self) -> None:
        """Reset the peak."""
        tracemalloc.reset_peak()

    def peak_bytes(self) -> int | None:
        """Peak of traced allocations since `start`."""
        return tracemalloc.get_traced_memory()[1]

    def close(self) -> None:
        """Stop tracing if this probe started it."""
        if self._started_here:
            tracemalloc.stop()


def memory_probe(track_memory: TrackMemory) -> MemoryProbe:
    """Best probe of this platform for a pipeline's ``track_memory`` setting.

    Raises
    ------
    ConfigError
        The setting is none of ``True``, ``False``, ``"tracemalloc"``.
    """
    if track_memory is False:
        return NoProbe()
    if track_memory == "tracemalloc":
        return PythonAllocations()
    if track_memory is not True:
        raise ConfigError(f"track_memory must be True, False or 'tracemalloc', not {track_memory!r}.")
    try:
        return HighWaterMark()
    except OSError:  # not Linux, or a kernel without clear_refs
        return MaximumResidentSize()


def gpu_peak_reset() -> None:
    """Forget earlier peaks of GPU memory, where torch uses one."""
    torch: Any = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():  # asking more would make a context on the GPU
        torch.cuda.reset_peak_memory_stats()


def gpu_peak_bytes() -> int | None:
    """Peak GPU memory since `gpu_peak_reset` (torch), or memory in use (CuPy); ``None`` where neither uses a GPU."""
    torch: Any = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        return int(torch.cuda.max_memory_allocated())
    cupy: Any = sys.modules.get("cupy")
    if cupy is not None and cupy.cuda.is_available():
        return int(cupy.get_default_memory_pool().used_bytes())
    return None
