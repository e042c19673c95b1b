"""Time to import, best of several fresh interpreters."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator

from benchmarks.timing import Row

REPEATS = 7


def import_rows() -> Iterator[Row]:
    """Time over that of an interpreter that imports nothing."""
    bare = _best("pass")
    yield Row("an interpreter that imports nothing", f"{bare * 1e3:.0f} ms")
    for module in ("curator_core", "curator_core.run", "curator_core.cli", "sqlite3, numpy"):
        yield Row(f"`import {module}`", f"{(_best(f'import {module}') - bare) * 1e3:.0f} ms")


def _best(code: str) -> float:
    times = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True)
        times.append(time.perf_counter() - started)
    return min(times)
